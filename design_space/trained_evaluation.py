"""Budgets along a training, as one object and as plain data."""

from typing import Any, final

import equinox as eqx

from design_space.arrays import Array, Float, Int
from design_space.errors.decomposition import LossTerms
from design_space.evaluate import Evaluation
from design_space.numerics.estimate import Estimate
from design_space.scores.model import AbstractModel


@final
class TrainedEvaluation(eqx.Module):
    """The error budgets of a design along the training of its score, all from one run.

    Attributes:
      steps: the chosen steps of gradient descent, shape [chosen].
      budgets: the error budget of the sampler with the score of each chosen step; not available,
        with the reason, from where the run diverged.
      models: the score at each chosen step.
      losses: the loss that was descended on, at each chosen step, shape [chosen].
      excesses: the population loss above its floor, at each chosen step.
      floor: the floor of the population loss, -C_bar.
      terms: the parts of the score error in Theorem 3 at each chosen step; None where they are
        not known exactly.
      learning_rate: h.
      stability_limit: 2/lambda_max: of the loss where it is a square, else at initialization.
      diverged_at: a step by which the run was found to diverge; -1 if it was not.
      method: "closed form" or "simulated".
      samples: number of data points, or "population".
    """

    steps: Int[Array, " chosen"]
    budgets: tuple[Evaluation, ...]
    models: tuple[AbstractModel, ...]
    losses: Float[Array, " chosen"]
    excesses: tuple[Estimate, ...]
    floor: Estimate
    terms: tuple[LossTerms, ...] | None
    learning_rate: Float[Array, ""]
    stability_limit: Float[Array, ""]
    diverged_at: Int[Array, ""]
    method: str = eqx.field(static=True)
    samples: int | str = eqx.field(static=True)

    @property
    def last(self) -> Evaluation:
        """The budget at the last chosen step."""
        return self.budgets[-1]

    @property
    def score(self) -> AbstractModel:
        """The score at the last chosen step."""
        return self.models[-1]

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract: that of the budget at the last step, and `training` beside it."""
        row = self.last.to_dict()
        row["training"] = {
            "method": self.method,
            "samples": self.samples,
            "steps": self.steps.tolist(),
            "learning_rate": float(self.learning_rate),
            "stability_limit": float(self.stability_limit),
            "diverged_at": None if self.diverged_at < 0 else int(self.diverged_at),
            "floor": self.floor.to_dict(),
            "losses": self.losses.tolist(),
            **self._terms(-1),
            "budgets": [self._entry(i) for i in range(len(self.budgets))],
        }
        return row

    def _entry(self, i: int) -> dict[str, Any]:
        """One chosen step as plain data."""
        entry = self.budgets[i].to_dict()
        del entry["provenance"]
        entry |= {
            "step": int(self.steps[i]),
            "loss": float(self.losses[i]),
            "excess": self.excesses[i].to_dict(),
        }
        entry |= self._terms(i)
        return entry

    def _terms(self, i: int) -> dict[str, Any]:
        """The parts of the score error in Theorem 3 at one chosen step, where they are known."""
        if self.terms is None:
            return {}
        terms = self.terms[i]
        return {
            "eps_train": terms.train.to_dict(),
            "eps_n": terms.generalization.to_dict(),
            "eps_est": terms.estimation.to_dict(),
            "eps_approx": terms.approximation.to_dict(),
        }
