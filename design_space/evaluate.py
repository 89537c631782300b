"""One design in, one row out: the error budget, and the bounds listed beside it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Key, float64
from design_space.bounds.sampling import sampling_bounds
from design_space.errors.budget import error_budget
from design_space.numerics.estimate import Estimate
from design_space.provenance import device, dtype, versions
from design_space.sampling.steppers import Frozen, given_or_paper
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals
from design_space.targets.reduction import by_quadrature, reduce_to_line


class Evaluation(eqx.Module):
    """The errors of a design (KL in nats, W2 in data units) and the bounds on them.

    Attributes:
      initialization: E_I = KL(p_{v_0} | N(0, v_0 I)).
      discretization: E_D = (1/2) sum_j int (I(v) - I(v_j)) dv.
      score: E_S = (1/2) sum_j h_j E|s_j - L_{v_j}|^2.
      path_kl: E_I + E_S + E_D, the KL of the sampling path.
      marginal_kl: KL(p_{v_N} | q_N), at most path_kl.
      w2: W2(p_{v_N}, q_N).
      discretization_steps: what each step adds to E_D, in the sampler's order, shape [steps].
      score_steps: what each step adds to E_S, in the sampler's order, shape [steps].
      bounds: right-hand sides of the theory by statement id, in nats; nothing is judged here. For
        another sampler than the paper's there are none.
      seed: seed of the Monte-Carlo entries, if any.
      samples: draws per noise level of the Monte-Carlo entries, if any.
    """

    initialization: Estimate
    discretization: Estimate
    score: Estimate
    path_kl: Estimate
    marginal_kl: Estimate
    w2: Estimate
    discretization_steps: Estimate
    score_steps: Estimate
    bounds: dict[str, Float[Array, ""]]
    seed: int = eqx.field(static=True)
    samples: int = eqx.field(static=True)

    @staticmethod
    def unavailable(reason: str, seed: int, samples: int) -> "Evaluation":
        """An evaluation of which nothing could be had.

        Args:
          reason: why.
          seed: as it was given.
          samples: as they were given.
        """
        no = Estimate.unavailable(reason)
        return Evaluation(no, no, no, no, no, no, no, no, {}, seed, samples)

    @property
    def provenance(self) -> dict[str, object]:
        """Versions, device, dtype, seed and samples."""
        return {
            "versions": versions(),
            "device": device(),
            "dtype": dtype(),
            "seed": self.seed,
            "samples": self.samples,
        }

    def to_dict(self) -> dict[str, object]:
        """The JSON contract: six quantities, `bounds` by statement id, `provenance`.

        Returns:
          Plain data. A quantity is {"value", "error", "method"}, with "condition" where
          cancellation is in the problem; nulls and a "reason" where it cannot be had.
        """
        names = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")
        row: dict[str, object] = {name: getattr(self, name).to_dict() for name in names}
        row["bounds"] = {name: float(value) for name, value in self.bounds.items()}
        row["provenance"] = self.provenance
        return row


def _gaussian_mmse(target: Gaussian, variances: Array) -> Array:
    return jax.vmap(lambda v: target.mmse(v).value)(variances)


def _mmse(target: AbstractTarget, variances: Array) -> Array | None:
    """mmse(v) where it comes without sampling; the bound has a fallback elsewhere."""
    if isinstance(target, Gaussian):
        return eqx.filter_jit(_gaussian_mmse)(target, variances)
    if by_quadrature(reduce_to_line(target.components())):
        return mixture_integrals(target, variances, None, 2).mmse.value
    return None


def _check_kinds(target: object, schedule: object, score: object) -> None:
    """Refuses what is not a target, a schedule or a score, with the way to make one."""
    kinds = (
        ("target", target, AbstractTarget, "a target", "build one, for instance ds.Empirical(x)"),
        ("schedule", schedule, Schedule, "a schedule", "build one, for instance ds.edm(steps=50)"),
        (
            "score",
            score,
            AbstractScore | None,
            "a score",
            "wrap a JAX function in ds.function_score, any other in ds.host_score",
        ),
    )
    for field, value, kind, domain, remedy in kinds:
        if not isinstance(value, kind):
            raise checks.refusal(field, value, domain, remedy)


@eqx.filter_jit
def _bounds(
    target: AbstractTarget, schedule: Schedule, mismatches: Array, mmse: Array | None
) -> dict[str, Array]:
    found = sampling_bounds(
        target.dim, target.second_moment(), schedule, jnp.maximum(mismatches, 0.0), mmse
    )
    return {name: terms.total for name, terms in found.items()}


def evaluate(
    target: Any,
    schedule: Any,
    score: Any = None,
    sampler: Any = None,
    *,
    seed: int = 0,
    samples: int = 4096,
) -> Evaluation:
    """Evaluates one design: its error budget, and the bounds of the theory for it.

    KL_path = E_I + E_S + E_D exactly, for any data law and score, and KL(p_{v_N} | q_N) is at most
    that. The bounds are those of the paper's sampler and stand beside no other. For Gaussian data
    and affine scores the whole function may be traced (jit, vmap).

    Args:
      target: the data law.
      schedule: the noise schedule.
      score: the score model; the exact score of the target unless given.
      sampler: the sampler, for instance ds.FlowHeun(); the frozen-score sampler of the paper
        unless given. Samplers without noise, or of several moves per step, have no path KL.
      seed: seed of what can only be sampled.
      samples: Monte-Carlo draws per noise level then, at least 64.

    Returns:
      The evaluation; every entry has `value`, `error` and `method`.

    Raises:
      ValueError: if samples is below 64, JAX's 64-bit floats are switched off, an argument is of
        another kind, or the score has another shape or is not finite at some noise level.
    """
    _check_kinds(target, schedule, score)
    sampler = given_or_paper(sampler)
    checks.count("seed", seed, least=0)
    float64(0.0)
    key: Key = jax.random.key(seed)
    score = exact_score(target) if score is None else score
    budget = error_budget(target, schedule, score, key=key, samples=samples, stepper=sampler)
    bounds: dict[str, Array] = {}
    if isinstance(sampler, Frozen):
        mismatches = 2 * budget.score_steps.value / schedule.backward_variance_steps
        mmse = _mmse(target, schedule.backward_variances[:-1])
        bounds = _bounds(target, schedule, mismatches, mmse)
    return Evaluation(
        budget.initialization,
        budget.discretization,
        budget.score,
        budget.path_kl,
        budget.marginal_kl,
        budget.w2,
        budget.discretization_steps,
        budget.score_steps,
        bounds,
        seed,
        samples,
    )
