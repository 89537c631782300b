"""The law of the sampler under an affine score: Gaussian, in closed form, in any dimension.

Everything is in the eigenbasis of the data covariance, and relative to the exact law p_v: the
recursion carries the difference of covariances D_j = Sigma_j - (l + v_j), which is small where
Sigma_j is not.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float
from design_space.sampling.moves import AbstractMove, Seen, is_turned
from design_space.sampling.operators import AbstractOperators, Diagonals, Matrices
from design_space.scores.base import Deviation

_UNROLL = 4

Deviations = tuple[tuple[Deviation, ...], ...]
"""For each move, the affine score at each of its noise levels, stacked over the steps."""


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


def affine_law(
    mean: Float[Array, " dim"],
    eigenvalues: Float[Array, " dim"],
    moves: tuple[AbstractMove, ...],
    deviations: Deviations | None = None,
    *,
    basis: Float[Array, "dim dim"] | None = None,
    start: GaussianLaw | None = None,
) -> GaussianLaw:
    """The law of any sampler under affine scores s(x) = L_v(x) + E (x - m) + e.

    A move takes u = y - m to (I + G) u + k and adds noise of covariance C; with P = l + before and
    P' = l + after, D' = (I + G) D (I + G)^T + (G P + P G^T + C + P - P') + G P G^T.

    Args:
      mean: m in the eigenbasis, shape [dim].
      eigenvalues: l >= 0, shape [dim].
      moves: the moves of each step.
      deviations: E and e at each noise level of each move, stacked over the steps, E diagonal
        [steps, dim] everywhere or a matrix [steps, dim, dim] everywhere; the exact score unless
        given.
      basis: the eigenbasis; only noise that is not alike in every direction asks for it.
      start: the law of Y_0, relative to p_{v_0}; N(0, v_0 I) unless given.

    Returns:
      The law; its `excess` is full where an E is, or where noise is not alike in every direction.
    """
    matrices = any(at.slope.ndim == 3 for each in deviations or () for at in each)
    matrices |= is_turned(moves)
    on: AbstractOperators = Matrices(basis) if matrices else Diagonals()
    if start is None:
        start = GaussianLaw(-mean, on.diagonal(-eigenvalues), eigenvalues)
    exact = Deviation(*(jnp.zeros_like(eigenvalues),) * 3)

    def step(law: GaussianLaw, level: tuple[Any, Any]) -> tuple[GaussianLaw, None]:
        for move, found in zip(*level, strict=True):
            found = (exact,) * move.evaluations if found is None else found
            law = advance(on, mean, eigenvalues, law, move, found)
        return law, None

    each = (None,) * len(moves) if deviations is None else deviations
    unroll = _UNROLL if len(moves) == 1 else 1
    return jax.lax.scan(step, start, (moves, each), unroll=unroll)[0]


def advance(
    on: AbstractOperators,
    mean: Float[Array, " dim"],
    eigenvalues: Float[Array, " dim"],
    law: GaussianLaw,
    move: AbstractMove,
    found: tuple[Deviation, ...],
) -> GaussianLaw:
    """The law after one move; see `affine_law`.

    Args:
      on: how operators are held.
      mean: m in the eigenbasis, shape [dim].
      eigenvalues: l, shape [dim].
      law: the law before, relative to p_before.
      move: the move, of one step.
      found: E and e at each of its noise levels.

    Returns:
      The law relative to p_after.
    """
    total = eigenvalues + move.before
    seen = tuple(
        Seen(eigenvalues + sigma * sigma, _operator(on, at.slope), at.intercept)
        for sigma, at in zip(move.sigmas, found, strict=True)
    )
    linear = move.linear(on, mean, seen, total)
    whole = on.diagonal(jnp.ones_like(total)) + linear.growth
    bent = on.around(linear.growth, on.diagonal(total))
    return GaussianLaw(
        on.apply(whole, law.shift) + linear.shift,
        on.around(whole, law.excess) + linear.made + bent,
        on.apply(whole**2, law.absolute) + linear.parts + jnp.abs(on.diagonal_of(bent)),
    )


def _operator(on: AbstractOperators, slope: Array) -> Array:
    """A slope that is diagonal, or already a matrix, as an operator."""
    return on.diagonal(slope) if slope.ndim == 1 else slope


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
