"""Errors of a design on Gaussian data under an affine score: closed forms, batched by vmap."""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float, Int
from design_space.numerics.defects import DefectSum, log1p_defect
from design_space.numerics.divergences import gaussian_kl_terms, gaussian_w2_squared_terms
from design_space.sampling.gaussian_law import GaussianLaw, exact_score_law

REASONS = (
    "",
    "variances: must be positive and strictly decreasing; sort the grid from large to small",
    "eigenvalues: must be at least 0; check the covariance",
    "mean, eigenvalues or variances: must be finite; remove the infinite or NaN entries",
)
"""What the code `CommutingErrors.reason` means; 0 says that nothing is wrong."""


class CommutingErrors(eqx.Module):
    """Errors of one design on N(m, S) with the exact score, in nats (w2 in data units).

    Attributes:
      initialization: E_I.
      discretization: E_D.
      marginal_kl: KL(p_{v_N} | q_N).
      w2: W2(p_{v_N}, q_N).
      condition: factor by which cancellation magnifies rounding in the marginal law.
      reason: 0, or the index into REASONS of what is wrong; the errors are NaN then.
    """

    initialization: Float[Array, ""]
    discretization: Float[Array, ""]
    marginal_kl: Float[Array, ""]
    w2: Float[Array, ""]
    condition: Float[Array, ""]
    reason: Int[Array, ""]


def initialization_terms(
    mean: Float[Array, " dim"], eigenvalues: Float[Array, " dim"], variance: Float[Array, ""]
) -> Float[Array, " dim"]:
    """KL(N(m, l + v) | N(0, v)) per eigenvalue: (1/2) [x - log(1 + x) + m^2/v], x = l/v.

    Args:
      mean: m in the eigenbasis, shape [dim].
      eigenvalues: l, shape [dim].
      variance: v_0.

    Returns:
      The terms of E_I, in nats, shape [dim].
    """
    return 0.5 * (log1p_defect(eigenvalues / variance) + mean**2 / variance)


def discretization_terms(
    eigenvalues: Float[Array, " dim"],
    variances: Float[Array, " nodes"],
    steps: Float[Array, " steps"],
) -> Float[Array, "steps dim"]:
    """(1/2) [x - log(1 + x)], x = -h_j/(l + v_j), per step and eigenvalue.

    For a long step 1 + x is small; it is then known better as (l + v_{j+1})/(l + v_j).

    Args:
      eigenvalues: l, shape [dim].
      variances: v_0 > ... > v_N, shape [steps + 1].
      steps: h_j, shape [steps].

    Returns:
      The terms of E_D, in nats, all at least 0, shape [steps, dim].
    """
    total = eigenvalues[None, :] + variances[:, None]
    x = steps[:, None] / total[:-1]
    return 0.5 * log1p_defect(-x, jnp.where(x < 0.5, 1 - x, total[1:] / total[:-1]))


def discretization_total(
    eigenvalues: Float[Array, " dim"],
    variances: Float[Array, " nodes"],
    steps: Float[Array, " steps"],
) -> Float[Array, ""]:
    """E_D as the sum of `discretization_terms`, with one logarithm per eigenvalue.

    Args, Returns: as for `discretization_terms`, summed. Relative rounding is below 1e-11.
    """

    def step(total: DefectSum, level: tuple[Array, ...]) -> tuple[DefectSum, None]:
        v, below, h = level
        inverse = 1 / (eigenvalues + v)
        return total.add(h * inverse, (eigenvalues + below) * inverse), None

    start = DefectSum.zeros(eigenvalues.shape)
    levels = (variances[:-1], variances[1:], steps)
    total, _ = jax.lax.scan(step, start, levels, unroll=4)
    return 0.5 * jnp.sum(total.total())


def condition_number(
    law: GaussianLaw, variance: Float[Array, " dim"], kl_terms: Float[Array, " dim"]
) -> Float[Array, ""]:
    """How much cancellation magnifies rounding in the marginal law.

    Per eigenvalue the sum of the absolute parts of D_N over |D_N|, or over the sampler's variance
    l + v_N + D_N where that is smaller; averaged with the share of each eigenvalue in the
    divergence.

    Args:
      law: a law with diagonal excess.
      variance: l + v_N, shape [dim].
      kl_terms: the divergence per eigenvalue, shape [dim].

    Returns:
      The condition number, at least 1.
    """
    whole = jnp.minimum(jnp.abs(law.excess), variance + law.excess)
    ratio = jnp.where(law.absolute > 0, law.absolute / jnp.where(whole > 0, whole, 1.0), 1.0)
    total = jnp.sum(kl_terms)
    return jnp.where(total > 0, ratio @ kl_terms / jnp.where(total > 0, total, 1.0), 1.0)


def _reason(mean: Array, eigenvalues: Array, variances: Array, steps: Array) -> Array:
    finite = [jnp.all(jnp.isfinite(x)) for x in (mean, eigenvalues, variances)]
    fine = finite[0] & finite[1] & finite[2]
    falling = (variances[-1] > 0) & jnp.all(steps > 0)
    code = jnp.where(jnp.all(eigenvalues >= 0), 0, 2)
    code = jnp.where(falling, code, 1)
    return jnp.where(fine, code, 3)


def commuting_errors(
    mean: Float[Array, " dim"],
    eigenvalues: Float[Array, " dim"],
    variances: Float[Array, " nodes"],
    variance_steps: Float[Array, " steps"],
) -> CommutingErrors:
    """E_I, E_D, marginal KL and W2 of the frozen-score sampler on N(m, S) with the exact score.

    A pure function of numbers, for jit and vmap over many designs at once: a row with bad input
    becomes NaN with a reason, and leaves the others as they are.

    Args:
      mean: m in the eigenbasis of S, shape [dim].
      eigenvalues: l of S, shape [dim].
      variances: v_0 > ... > v_N > 0, shape [steps + 1], for instance schedule.backward_variances.
      variance_steps: h_j, shape [steps], for instance schedule.backward_variance_steps.

    Returns:
      The errors (theory: the exact path identity, and the recursion of WHT Lemmas 13 and 15 with
      the corrected mean).
    """
    law = exact_score_law(mean, eigenvalues, variances, variance_steps)
    final = eigenvalues + variances[-1]
    kl_terms = gaussian_kl_terms(final, law.excess, law.shift)
    reason = _reason(mean, eigenvalues, variances, variance_steps)
    w2_squared = jnp.sum(gaussian_w2_squared_terms(final, law.excess, law.shift))

    def valid(x: Array) -> Array:
        return jnp.where(reason == 0, x, jnp.nan)

    return CommutingErrors(
        valid(jnp.sum(initialization_terms(mean, eigenvalues, variances[0]))),
        valid(discretization_total(eigenvalues, variances, variance_steps)),
        valid(jnp.sum(kl_terms)),
        valid(jnp.sqrt(w2_squared)),
        valid(condition_number(law, final, kl_terms)),
        reason,
    )
