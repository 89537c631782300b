"""Steppers: samplers with noise, each as the moves of which a step consists.

All are written for the variance-exploding state y of noise level sigma, v = sigma^2 and
h = v - v' with a prime for the level after the step. What other authors write for a scaled state
x = S y is the same sampler where it does not feel the scale (Ancestral, the flow in sigma), and
takes the schedule's time and scale where it does (variable "time").
"""

import abc
from typing import Any, ClassVar, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Scalar, float64, is_concrete
from design_space.sampling.clock import VARIABLES, Variable, clock
from design_space.sampling.moves import AbstractMove, OneStage
from design_space.schedules.schedule import Schedule


def variable_name(name: str) -> Variable:
    """The name of a variable, checked.

    Args:
      name: "sigma" or "time".

    Raises:
      ValueError: if it is unknown.
    """
    return checks.one_of("variable", name, VARIABLES)  # type: ignore[return-value]


def _share(field: str, value: Any) -> Float[Array, ""]:
    """A number from 0 to 1."""
    checks.nonnegative(field, value)
    if is_concrete(value) and not float(value) <= 1:
        raise checks.refusal(field, float(value), "from 0 to 1", "take 1 for full noise")
    return float64(value)


def one_stage(schedule: Schedule, stretch: Any, gain: Any, defect: Any, noisy: bool) -> OneStage:
    """A move over a whole step.

    Args:
      schedule: the noise schedule.
      stretch: p of `OneStage`.
      gain: q.
      defect: r.
      noisy: whether it adds noise in any step.
    """
    v, h = schedule.backward_variances, schedule.backward_variance_steps
    none = jnp.zeros_like(h)
    return OneStage(
        sigma=schedule.backward_sigmas[:-1],
        drop=h,
        stretch=none + stretch,
        gain_defect=none + gain,
        variance_defect=defect,
        before=v[:-1],
        after=v[1:],
        random=noisy,
    )


class AbstractStepper(eqx.Module):
    """A sampler: how a state at one noise level is taken to the next.

    It knows a score and a schedule, never the data.
    """

    kind: ClassVar[str]

    @abc.abstractmethod
    def moves(self, schedule: Schedule) -> tuple[AbstractMove, ...]:
        """The moves of a step, in order; their arrays hold every step of the sampler.

        Args:
          schedule: the noise schedule.
        """

    def evaluations(self, schedule: Schedule) -> int:
        """How often the whole sampler asks the score.

        Args:
          schedule: the noise schedule.
        """
        return schedule.steps * sum(move.evaluations for move in self.moves(schedule))


@final
class Frozen(AbstractStepper):
    """The exponential integrator with the score frozen: y + h s(y, sigma) + sqrt(h) U.

    Source: eq. (10) of arXiv 2406.12839. It is the reverse diffusion sampler of arXiv 2011.13456.
    """

    kind: ClassVar[str] = "frozen"

    def moves(self, schedule: Schedule) -> tuple[AbstractMove, ...]:
        """One move without defects; see AbstractStepper."""
        none = jnp.zeros_like(schedule.backward_variance_steps)
        return (one_stage(schedule, 0.0, 0.0, none, True),)


PAPER = Frozen()
"""The sampler of the paper, where no other is given."""


def given_or_paper(sampler: Any, field: str = "sampler") -> AbstractStepper:
    """The sampler that was given, or the paper's.

    Args:
      sampler: a stepper, or None.
      field: its name in the message.

    Raises:
      ValueError: if it is something else.
    """
    if sampler is None:
        return PAPER
    if not isinstance(sampler, AbstractStepper):
        remedy = "build one, for instance ds.FlowHeun()"
        raise checks.refusal(field, sampler, "a sampler", remedy)
    return sampler


@final
class EulerMaruyama(AbstractStepper):
    """Euler and Maruyama's method for the reverse process in the time of the design.

    With dt = t - t' and S = 1: y + 2 sigma_t^2 dt s(y, sigma) + sqrt(2 sigma_t^2 dt) U.

    Args:
      variable: "time", the schedule's own time and scale; or "sigma", sigma_bar as the time.

    Raises:
      ValueError: if the variable is unknown.

    Source: section 4.1 of arXiv 2011.13456.
    """

    kind: ClassVar[str] = "euler-maruyama"
    variable: Variable = eqx.field(static=True, default="time", converter=variable_name)

    def moves(self, schedule: Schedule) -> tuple[AbstractMove, ...]:
        """One move; see AbstractStepper."""
        ticks, h = clock(schedule, self.variable), schedule.backward_variance_steps
        stretch, gain = ticks.drift()
        # the drift of the score is twice the flow's; its noise is S^2 of that in x, S'^-2 in y
        variance = 2 * gain * ticks.scales[:-1] / ticks.scales[1:]
        return (one_stage(schedule, stretch, 2 * gain - h, variance - h, True),)


@final
class Ancestral(AbstractStepper):
    """Ancestral sampling: y towards its denoised point, and noise of the posterior's variance.

    With up^2 = eta^2 v' h / v and down^2 = v' - up^2: y + sigma (sigma - down) s + up U. At eta = 1
    this is y + h s + sqrt(h v'/v) U, the posterior of X_{v'} given X_v and the denoised point as
    X_0; at eta = 0 it is DDIM, Euler's method for the flow in sigma. No scale changes it.

    Args:
      eta: share of the posterior's standard deviation, from 0 to 1; may be traced.

    Attributes:
      eta: the same.
      noisy: False where eta is known to be 0.

    Raises:
      ValueError: if eta is not in its range.

    Source: arXiv 2006.11239 (eta = 1), eq. (16) of arXiv 2010.02502.
    """

    kind: ClassVar[str] = "ancestral"
    eta: Float[Array, ""]
    noisy: bool = eqx.field(static=True)

    def __init__(self, eta: Scalar = 1.0):
        self.eta = _share("eta", eta)
        self.noisy = not (is_concrete(self.eta) and float(self.eta) == 0)

    def moves(self, schedule: Schedule) -> tuple[AbstractMove, ...]:
        """One move; see AbstractStepper."""
        v, h = schedule.backward_variances, schedule.backward_variance_steps
        sigma, up = schedule.backward_sigmas[:-1], self.eta**2 * v[1:] * h / v[:-1]
        down = jnp.sqrt(v[1:] - up)
        gain = sigma * (h + up) / (sigma + down)  # h + up^2 = v - down^2
        return (one_stage(schedule, 0.0, gain - h, up - h, self.noisy),)


def _check_symmetric(matrices: Any) -> None:
    if not is_concrete(matrices):
        return
    given = np.asarray(matrices)
    apart = np.max(np.abs(given - np.swapaxes(given, 1, 2)), initial=0.0)
    if apart > 1e-10 * np.max(np.abs(given), initial=0.0):
        domain = "symmetric in every step"
        raise checks.refusal("defects", given, domain, "give covariances less h_j times the unit")


def _defects(value: Any) -> Array:
    array = checks.numbers("defects", value, (1, 3))
    if array.ndim == 3:
        checks.same_dimension("defects.shape[2]", array.shape[2], "rows", array.shape[1])
        _check_symmetric(array)
    return float64(array)


@final
class OptimalVariance(AbstractStepper):
    """The mean of the paper's sampler with noise of another covariance: y + h s + (h + r)^{1/2} U.

    `optimal.step_variance` computes the r_j that make the path KL least, isotropic or full.

    Args:
      defects: r_j, at least -h_j, which leaves no noise, shape [steps]; or symmetric
        [steps, dim, dim] with h_j I + r_j positive definite; in squared data units.

    Raises:
      ValueError: if the shape is another, or, from `moves`, if there is not one entry per step, or
        one of them makes a variance that is none.

    Source: arXiv 2201.06503 for the isotropic variance.
    """

    kind: ClassVar[str] = "optimal-variance"
    defects: Float[Array, " steps"] | Float[Array, "steps dim dim"] = eqx.field(converter=_defects)

    def moves(self, schedule: Schedule) -> tuple[AbstractMove, ...]:
        """One move; see AbstractStepper."""
        checks.same_dimension("len(defects)", len(self.defects), "steps", schedule.steps)
        if is_concrete(self.defects, schedule):
            _check_noise(np.asarray(self.defects), np.asarray(schedule.backward_variance_steps))
        return (one_stage(schedule, 0.0, 0.0, self.defects, True),)


def _check_noise(defects: np.ndarray, steps: np.ndarray) -> None:
    """Refuses variances below 0, and covariances that are not positive definite."""
    even = defects.ndim == 1
    left = steps + (defects if even else np.linalg.eigvalsh(defects)[:, 0])
    if np.all(left >= 0) if even else np.all(left > 0):
        return
    worst = int(np.argmin(left))
    field = "variance" if even else "least variance"
    domain = "at least 0" if even else "above 0"
    remedy = f"raise defects[{worst}]; the variance is that above h = {steps[worst]:.6g}"
    raise checks.refusal(f"{field} of step {worst}", float(left[worst]), domain, remedy)


def _langevin_steps(value: Any) -> Array:
    array = checks.numbers("langevin_steps", value, 1)
    if is_concrete(array) and np.any(array <= 0):
        raise checks.refusal("langevin_steps", array, "above 0", "give the step e of each level")
    return float64(array)


@final
class PredictorCorrector(AbstractStepper):
    """Song's predictor-corrector: the paper's step, then Langevin steps at the level it reaches.

    Each of them is y + e_j s(y, sigma') + sqrt(2 e_j) U.

    Args:
      langevin_steps: e_j, above 0, in squared data units, shape [steps];
        `optimal.langevin.predictor_corrector` takes those of Song et al.'s rule.
      corrections: Langevin steps per level, at least 1.

    Raises:
      ValueError: if a number is out of its domain, or, from `moves`, if there is not one e_j per
        step.

    Source: Algorithms 2 and 4 of arXiv 2011.13456.
    """

    kind: ClassVar[str] = "predictor-corrector"
    langevin_steps: Float[Array, " steps"] = eqx.field(converter=_langevin_steps)
    corrections: int = eqx.field(
        static=True, default=1, converter=lambda n: checks.count("corrections", n)
    )

    def moves(self, schedule: Schedule) -> tuple[AbstractMove, ...]:
        """The predictor's move and the correctors'; see AbstractStepper."""
        e = self.langevin_steps
        checks.same_dimension("len(langevin_steps)", len(e), "steps", schedule.steps)
        v, none = schedule.backward_variances[1:], jnp.zeros_like(e)
        corrector = OneStage(
            sigma=schedule.backward_sigmas[1:],
            drop=none,
            stretch=none,
            gain_defect=e,
            variance_defect=2 * e,
            before=v,
            after=v,
            random=True,
        )
        return (*Frozen().moves(schedule), *(corrector,) * self.corrections)
