"""The law of the sampler under an affine score: Gaussian, in closed form, in any dimension.

Everything is in the eigenbasis of the data covariance, and relative to the exact law p_v: the
recursion carries the difference of covariances D_j = Sigma_j - (l + v_j), which is small where
Sigma_j is not.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float

_UNROLL = 4


class GaussianLaw(eqx.Module):
    """The sampler's law q_N = N(m + shift, diag(l + v_N) + excess).

    Attributes:
      shift: E Y_N - m, shape [dim].
      excess: D_N, its diagonal [dim], or [dim, dim] if the score does not commute.
      absolute: sum of the absolute values of the parts of D_N, same shape as its diagonal: what is
        left of the initial error and what each step adds may cancel.
    """

    shift: Float[Array, " dim"]
    excess: Float[Array, " dim"] | Float[Array, "dim dim"]
    absolute: Float[Array, " dim"]


def exact_score_law(
    mean: Float[Array, " dim"],
    eigenvalues: Float[Array, " dim"],
    variances: Float[Array, " nodes"],
    steps: Float[Array, " steps"],
) -> GaussianLaw:
    """The sampler's law under the exact score of N(m, S).

    D_{j+1} = ((l + v_{j+1})/(l + v_j))^2 D_j + h_j^2/(l + v_j), D_0 = -l. The factors telescope,
    so that the initial part is -l ((l + v_N)/(l + v_0))^2 and only positive terms are summed.

    Args:
      mean: m in the eigenbasis, shape [dim] (data unit).
      eigenvalues: l >= 0, shape [dim] (data unit squared).
      variances: v_0 > ... > v_N > 0, shape [steps + 1].
      steps: h_j = v_j - v_{j+1}, shape [steps].

    Returns:
      The law; the mean error is -((l + v_N)/(l + v_0)) m.
    """

    def step(generated: Array, level: tuple[Array, Array]) -> tuple[Array, None]:
        v, h = level
        x = h / (eigenvalues + v)
        return (1 - x) ** 2 * generated + h * x, None

    generated, _ = jax.lax.scan(
        step, jnp.zeros_like(eigenvalues), (variances[:-1], steps), unroll=_UNROLL
    )
    shrink = (eigenvalues + variances[-1]) / (eigenvalues + variances[0])
    initial = eigenvalues * shrink**2
    return GaussianLaw(-shrink * mean, generated - initial, generated + initial)


def commuting_law(
    mean: Float[Array, " dim"],
    eigenvalues: Float[Array, " dim"],
    variances: Float[Array, " nodes"],
    steps: Float[Array, " steps"],
    slopes: Float[Array, "steps dim"],
    intercepts: Float[Array, "steps dim"],
) -> GaussianLaw:
    """The sampler's law under s_j(x) = L_{v_j}(x) + E_j (x - m) + e_j, E_j diagonal.

    With P = l + v_j, t = 1 - h/P + h E and R = h (2 E P) + h^2 (1/P - 2 E + E^2 P):
    D_{j+1} = t^2 D_j + R, and the mean error follows b_{j+1} = t b_j + h e_j, b_0 = -m.

    Args:
      mean: m in the eigenbasis, shape [dim].
      eigenvalues: l >= 0, shape [dim].
      variances: v_0 > ... > v_N > 0, shape [steps + 1].
      steps: h_j, shape [steps].
      slopes: E_j, shape [steps, dim] (inverse data unit squared).
      intercepts: e_j, shape [steps, dim] (inverse data unit).

    Returns:
      The law.
    """

    def step(state: tuple[Array, Array, Array], level: tuple[Array, ...]):
        b, excess, absolute = state
        v, h, slope, intercept = level
        total = eigenvalues + v
        t = 1 - h / total + h * slope
        made = h * (2 * slope * total) + h * h * (1 / total - 2 * slope + slope**2 * total)
        return (
            t * b + h * intercept,
            t * t * excess + made,
            t * t * absolute + jnp.abs(made),
        ), None

    start = (-mean, -eigenvalues, eigenvalues)
    (b, excess, absolute), _ = jax.lax.scan(
        step, start, (variances[:-1], steps, slopes, intercepts)
    )
    return GaussianLaw(b, excess, absolute)


def full_law(
    mean: Float[Array, " dim"],
    eigenvalues: Float[Array, " dim"],
    variances: Float[Array, " nodes"],
    steps: Float[Array, " steps"],
    slopes: Float[Array, "steps dim dim"],
    intercepts: Float[Array, "steps dim"],
) -> GaussianLaw:
    """The sampler's law under s_j(x) = L_{v_j}(x) + E_j (x - m) + e_j, E_j any matrix.

    With P = diag(l + v_j) and T = I - h P^{-1} + h E:
    D_{j+1} = T D_j T^T + h (E P + P E^T) + h^2 (P^{-1} - E - E^T + E P E^T).

    Args:
      mean: m in the eigenbasis, shape [dim].
      eigenvalues: l >= 0, shape [dim].
      variances: v_0 > ... > v_N > 0, shape [steps + 1].
      steps: h_j, shape [steps].
      slopes: E_j, shape [steps, dim, dim].
      intercepts: e_j, shape [steps, dim].

    Returns:
      The law, with a full `excess`.
    """
    unit = jnp.eye(eigenvalues.shape[0])

    def step(state: tuple[Array, Array, Array], level: tuple[Array, ...]):
        b, excess, absolute = state
        v, h, slope, intercept = level
        total = eigenvalues + v
        t = unit - h * jnp.diag(1 / total) + h * slope
        moved = slope * total[None, :]
        made = h * (moved + moved.T) + h * h * (
            jnp.diag(1 / total) - slope - slope.T + moved @ slope.T
        )
        excess = t @ excess @ t.T + made
        absolute = (t**2) @ absolute + jnp.abs(jnp.diag(made))
        return (t @ b + h * intercept, (excess + excess.T) / 2, absolute), None

    start = (-mean, -jnp.diag(eigenvalues), eigenvalues)
    (b, excess, absolute), _ = jax.lax.scan(
        step, start, (variances[:-1], steps, slopes, intercepts)
    )
    return GaussianLaw(b, excess, absolute)


def probability_flow_law(
    mean: Float[Array, " dim"],
    eigenvalues: Float[Array, " dim"],
    sigmas: Float[Array, " nodes"],
) -> GaussianLaw:
    """The law of Euler's method for the probability flow dy/dsigma = -sigma L(y), exact score.

    From N(0, sigma_0^2 I), each step multiplies y - m by (l + sigma_j sigma_{j+1})/(l + sigma_j^2).

    Args:
      mean: m in the eigenbasis, shape [dim].
      eigenvalues: l >= 0, shape [dim].
      sigmas: sigma_0 > ... > sigma_N > 0, shape [steps + 1].

    Returns:
      The law, relative to p_{v_N} like the others.
    """
    high, low = sigmas[:-1, None], sigmas[1:, None]
    total = eigenvalues[None, :] + high**2
    factor = jnp.exp(jnp.sum(jnp.log1p(high * (low - high) / total), axis=0))
    generated, final = (factor * sigmas[0]) ** 2, eigenvalues + sigmas[-1] ** 2
    return GaussianLaw(-factor * mean, generated - final, generated + final)
