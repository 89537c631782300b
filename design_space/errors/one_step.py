"""What one step of the sampler costs on Gaussian data, from the two Gaussian kernels themselves.

From Y at noise variance v the exact reverse process goes to a lower one, v', by
N(m + (l + v')/(l + v) (Y - m), (l + v')(v - v')/(l + v)) per eigenvalue l of the data covariance;
the sampler, with its score frozen, by N(Y + h s(Y), h), h = v - v'. With s = c times the exact
score the means differ by (c - 1) h (Y - m)/(l + v).
"""

import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar
from design_space.numerics.defects import log1p_defect


def one_step_kl(
    eigenvalues: Float[Array, " dim"],
    high: Scalar,
    low: Scalar,
    factor: Scalar = 1.0,
    step_variance: Scalar | None = None,
) -> Float[Array, ""]:
    """E KL(exact reverse kernel | sampler's kernel) over one step, Y drawn from the exact law.

    (1/2) sum_i [r_i - 1 - log r_i + (c - 1)^2 h^2/((l_i + v) tau)], with r_i the exact kernel's
    variance over tau, the sampler's.

    Args:
      eigenvalues: l_i, at least 0, shape [dim].
      high: v, where the step begins.
      low: v', below v, where it ends; a step may be followed part of its way.
      factor: c, the sampler's score over the exact one.
      step_variance: tau, above 0; h = v - v' unless given.

    Returns:
      The mean divergence, in nats.
    """
    h = high - low
    tau = h if step_variance is None else step_variance
    total = eigenvalues + high
    left = (eigenvalues + low) / total  # 1 - h/total, also where it is small
    ratio, excess = h / tau * left, -h / total + (h - tau) / tau * left  # r and r - 1
    near = excess > -0.5
    far = ratio - 1 - jnp.log(jnp.where(near, 1.0, ratio))
    defect = jnp.where(near, log1p_defect(jnp.where(near, excess, 0.0)), far)
    mean_part = (factor - 1) ** 2 * h**2 / (total * tau)
    return 0.5 * jnp.sum(defect + mean_part)


def reverse_mismatch(
    eigenvalues: Float[Array, " dim"], high: Scalar, low: Scalar, factor: Scalar = 1.0
) -> Float[Array, ""]:
    """E|c L_v(Y_v) - L_{v'}(Y_{v'})|^2 along the exact reverse process.

    sum_i [(c - 1)^2/(l_i + v) + (v - v')/((l_i + v)(l_i + v'))]: with L_u(y) = -(y - m)/(l + u) and
    Cov(Y_v, Y_{v'}) = l + v', the square is c^2/(l + v) - 2 c/(l + v) + 1/(l + v').

    Args:
      eigenvalues: l_i, at least 0, shape [dim].
      high: v.
      low: v', at most v.
      factor: c.

    Returns:
      The mean square, in inverse squared data units.
    """
    at_high, at_low = eigenvalues + high, eigenvalues + low
    return jnp.sum((factor - 1) ** 2 / at_high + (high - low) / (at_high * at_low))
