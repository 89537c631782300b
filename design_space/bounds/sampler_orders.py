"""The order of every sampler on Gaussian data, and its error at that order.

On N(m, l I), with P = l + v and the exact score, a step multiplies the excess D of the sampler's
variance over P by a factor and adds a defect. Along a smooth grid sigma(u), u = j/N, the defect is
c(sigma) delta^{p+1} to leading order in delta = sigma - sigma', and the factors multiply to
(P_N/P)^{1 + noise}, so that N^p D_N tends to an integral. Then W2 is near |D_N|/(2 sqrt P_N) and
the marginal KL near (D_N/P_N)^2/4: orders p and 2 p. `docs/theory/sampler_orders.md` derives it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar
from design_space.numerics.quadrature import gauss_legendre

Grid = Callable[[Array], Array]
"""Noise levels as a smooth function of u from 0, the largest, to 1."""

Local = Callable[[Array, Array], Array]
"""The coefficient c of a step's defect in each direction, from l [dim] and a noise level."""

_NODES = 128


def frozen_defect(values: Array, sigma: Array) -> Array:
    """C = 4 v/P of the frozen-score step: the defect h^2/P.

    Args:
      values: l, data variances, shape [dim].
      sigma: the noise level; or many for one l.
    """
    return 4 * sigma**2 / (values + sigma**2)


def euler_maruyama_defect(values: Array, sigma: Array) -> Array:
    """C = 4 v/P - 1 of Euler and Maruyama's step with sigma_bar_t = t: its noise is 2 sigma delta.

    Args: as for `frozen_defect`.
    """
    return 4 * sigma**2 / (values + sigma**2) - 1


def posterior_defect(values: Array, sigma: Array, eta: Scalar = 1.0) -> Array:
    """C = -(1 + eta^2)^2 l/P of ancestral sampling; at eta = 0 of Euler's step on the flow.

    Args:
      values: l, data variances, shape [dim].
      sigma: the noise level; or many for one l.
      eta: share of the posterior's standard deviation, from 0 to 1.
    """
    return -((1 + eta**2) ** 2) * values / (values + sigma**2)


def optimal_variance_defect(values: Float[Array, " dim"], sigma: Array) -> Array:
    """c_i = 4 v (1/P_i - mean_k 1/P_k) of the best isotropic variance: none on isotropic data.

    Args:
      values: l of every direction, shape [dim].
      sigma: the noise level.
    """
    inverse = 1 / (values + sigma**2)
    return 4 * sigma**2 * (inverse - jnp.mean(inverse))


def heun_defect(values: Array, sigma: Array) -> Array:
    """C = l sigma/P^2 of Heun's step on the flow in sigma, to delta^3.

    Args: as for `frozen_defect`.
    """
    return values * sigma / (values + sigma**2) ** 2


def midpoint_defect(values: Array, sigma: Array) -> Array:
    """C = l/(4 sigma P) of the midpoint step with the geometric middle, to delta^3.

    Args: as for `frozen_defect`.
    """
    return values / (4 * sigma * (values + sigma**2))


def leading_excess(
    local: Local,
    order: int,
    grid: Grid,
    values: Float[Array, " dim"],
    noise: float,
    churn: Scalar = 0.0,
) -> Float[Array, " dim"]:
    """The limit of N^p D_N, started from the exact law.

    P_N int_0^1 c(sigma) (S sigma - sigma')^{p+1} (P_N/P)^noise exp(-2 S int_u^1 v/P) / P du with
    S = s_churn: a step of churn starts at sigma (1 + S/N), and forgets as it adds noise.

    Args:
      local: c.
      order: p, at least 1.
      grid: the noise levels.
      values: l, data variances, above 0, shape [dim].
      noise: the noise over that of the reverse process: 1 for it, 0 for the flow, eta^2 between.
      churn: S, at least 0.

    Returns:
      The limit by direction, in squared data units, shape [dim].
    """
    share, weights = (jnp.asarray(x) for x in gauss_legendre(_NODES))
    final = values + grid(jnp.ones(())) ** 2

    def at(u: Array) -> Array:
        sigma, slope = jax.jvp(grid, (u,), (jnp.ones(()),))
        moved = (churn * sigma - slope) ** (order + 1)
        kept = (final / (values + sigma**2)) ** (1 + noise)
        return local(values, sigma) * moved * kept * jnp.exp(-forgetting(grid, values, churn, u))

    return weights @ jax.vmap(at)(share)


def forgetting(
    grid: Grid, values: Float[Array, " dim"], churn: Scalar, since: Scalar = 0.0
) -> Float[Array, " dim"]:
    """2 S int_u^1 v/P: churn multiplies what was there at u by exp of minus this.

    Args:
      grid: the noise levels.
      values: l, data variances, shape [dim].
      churn: S, at least 0.
      since: u, from 0 to 1.
    """
    share, weights = (jnp.asarray(x) for x in gauss_legendre(_NODES))

    def rate(u: Array) -> Array:
        v = grid(u) ** 2
        return v / (values + v)

    later = since + (1 - since) * share
    return 2 * churn * (1 - since) * (weights @ jax.vmap(rate)(later))


def least_leading_excess(
    local: Local, order: int, high: Scalar, low: Scalar, value: Scalar, noise: float
) -> Float[Array, ""]:
    """The least limit of N^p |D_N| that a grid can have on N(m, l I), for c of one sign.

    P_N (int |c (P_N/P)^noise / P|^{1/(p+1)} dsigma)^{p+1}, by Hoelder's inequality; it is had where
    the integrand's integral grows uniformly in u.

    Args:
      local: c.
      order: p.
      high: the largest noise level.
      low: the least one, above 0.
      value: l, above 0.
      noise: as for `leading_excess`.
    """
    share, weights = (jnp.asarray(x) for x in gauss_legendre(_NODES))
    span = jnp.log(high / low)
    final = value + low**2

    def at(sigma: Array) -> Array:
        kept = (final / (value + sigma**2)) ** (1 + noise)
        return sigma * (jnp.abs(local(jnp.asarray(value), sigma)) * kept) ** (1 / (order + 1))

    return (span * (weights @ jax.vmap(at)(low * jnp.exp(span * share)))) ** (order + 1)


def langevin_bias(values: Float[Array, " dim"], sigma: Scalar, snr: Scalar) -> Float[Array, " dim"]:
    """The limit of D_N for Song's predictor-corrector, which no number of steps takes away.

    A Langevin step of e = 2 snr^2 d/I(v) takes the relative excess to (1 - x)^2 of it plus x^2,
    x_i = e/P_i, and the predictor moves it ever less: P_i x_i/(2 - x_i), on isotropic data
    P snr^2/(1 - snr^2).

    Args:
      values: l, data variances, shape [dim].
      sigma: the last noise level.
      snr: Song's signal-to-noise ratio, above 0; x_i < 2.
    """
    total = values + sigma**2
    x = 2 * snr**2 / (jnp.mean(1 / total) * total)
    return total * x / (2 - x)


def churn_bias(
    values: Float[Array, " dim"], sigma: Scalar, s_noise: Scalar, forgotten: Array
) -> Float[Array, " dim"]:
    """The limit of D_N for churn whose noise is s_noise times what the level asks for.

    P_N (s_noise^2 - 1) (1 - exp(-2 S int v/P)): zero at s_noise = 1 only.

    Args:
      values: l, data variances, shape [dim].
      sigma: the last noise level.
      s_noise: at least 0.
      forgotten: of `forgetting`, over the levels with churn.
    """
    return (values + sigma**2) * (s_noise**2 - 1) * -jnp.expm1(-forgotten)
