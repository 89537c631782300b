"""Laws of guided samplers on the line, as steps get short, and what they are held against."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array
from design_space.optimal.step_variance import optimal_variance
from design_space.sampling.density_law import data_density, density_law
from design_space.sampling.flows import FlowHeun
from design_space.sampling.line_density import LineDensity
from design_space.sampling.steppers import AbstractStepper
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.scores.guided import guided_exact
from design_space.targets.labeled import LabeledMixture
from design_space.targets.mixture import GaussianMixture

LOW, HIGH = 0.02, 20.0
"""The range of noise levels."""

STEPS = (40, 80, 160)
"""Numbers of steps whose laws are extrapolated."""

_ROUNDING = 1e-10  # of sums over a density that is carried over hundreds of steps

_POINTS = 20_001  # of the fixed grid on which the tilted law is normalized
_REACH = 14.0  # standard deviations that it covers


class Problem(NamedTuple):
    """A mixture on the line with classes, guided to class 1; plain numbers until it is asked.

    Attributes:
      name: for tables.
      weights: of the components.
      means: of the components.
      stds: standard deviations of the components.
      labels: classes of the components.
    """

    name: str
    weights: tuple[float, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    labels: tuple[int, ...]

    @property
    def label(self) -> int:
        """The class."""
        return 1

    @property
    def labeled(self) -> LabeledMixture:
        """The mixture."""
        return _labeled(self)

    @property
    def prior(self) -> float:
        """The probability p(c) of the class."""
        return float(self.labeled.prior[self.label])


@functools.cache
def _labeled(of: Problem) -> LabeledMixture:
    law = GaussianMixture.isotropic(of.weights, [[mean] for mean in of.means], of.stds)
    return LabeledMixture(law, of.labels)


def grid(steps: int) -> Schedule:
    """EDM's grid on the range."""
    return edm(steps, sigma_min=LOW, sigma_max=HIGH)


def noisy(of: Problem, schedule: Schedule) -> AbstractStepper:
    """Steps of the reverse SDE: the best noise of the class leaves no error of one Gaussian."""
    return optimal_variance(of.labeled.given(of.label), schedule)


def flow(of: Problem, schedule: Schedule) -> AbstractStepper:
    """Steps of the probability flow."""
    return FlowHeun()


SAMPLERS: dict[str, Callable[[Problem, Schedule], AbstractStepper]] = {"noise": noisy, "flow": flow}
"""The reverse SDE and the probability flow."""


class Path(NamedTuple):
    """A sampler's law, and its expectations on the way.

    Attributes:
      density: at the last level.
      variance: v_N.
      inverse: E[1/p_v(c | Y)] at each level, shape [steps + 1].
      climbed: E[|grad log p_v(c | Y)|^2/p_v(c | Y)] at each level, shape [steps + 1].
      variances: v at each level, from large to small.
    """

    density: LineDensity
    variance: float
    inverse: np.ndarray
    climbed: np.ndarray
    variances: np.ndarray


@eqx.filter_jit
def _posterior(labeled: LabeledMixture, label: int, v: Array, x: Array) -> tuple[Array, Array]:
    def one(y: Array) -> tuple[Array, Array]:
        slope = labeled.log_posterior_gradient(y[None], v, label)[0]
        return labeled.log_posterior(y[None], v)[label], slope

    return jax.vmap(one)(x)


def log_posterior(of: Problem, v: float, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log p_v(c | x) and its slope at points [n].

    Args:
      of: the problem.
      v: noise variance.
      x: the points.
    """
    found = _posterior(of.labeled, of.label, jnp.asarray(v), jnp.asarray(x))
    return np.asarray(found[0]), np.asarray(found[1])


def _expectations(of: Problem, v: float, density: LineDensity) -> tuple[float, float]:
    """E[1/p] and E[slope^2/p]: in logarithms, since 1/p grows where the density falls."""
    logs, slope = log_posterior(of, v, density.grid.points())
    mass = np.exp(density.log_values - logs) * density.grid.spacing
    return float(np.sum(mass)), float(mass @ slope**2)


def carried(
    of: Problem,
    strength: float,
    steps: int,
    sampler: str = "noise",
    watched: bool = False,
    **variant: Any,
) -> Path:
    """Carries the density of a guided sampler, started from p_{v_0}(. | c).

    Args:
      of: the problem.
      strength: w; the extra drift on the conditional score is w - 1.
      steps: number of steps.
      sampler: one of SAMPLERS.
      watched: whether the expectations are wanted.
      **variant: `rescale` and `interval` of the guided score.
    """
    schedule = grid(steps)
    score = guided_exact(of.labeled, of.label, strength, **variant)
    moves = SAMPLERS[sampler](of, schedule).moves(schedule)
    variances = np.asarray(schedule.backward_variances)
    density = data_density(of.labeled.given(of.label), variances[0])
    if not watched:
        nothing = np.zeros(0)
        density = density_law(score, moves, start=density)
        return Path(density, float(variances[-1]), nothing, nothing, variances)
    seen = [_expectations(of, variances[0], density)]
    for j in range(steps):
        move = tuple(jax.tree.map(lambda a, j=j: a[j : j + 1], each) for each in moves)
        density = density_law(score, move, start=density)
        seen.append(_expectations(of, variances[j + 1], density))
    inverse, climbed = np.array(seen).T
    return Path(density, float(variances[-1]), inverse, climbed, variances)


@eqx.filter_jit
def _log_density(law: GaussianMixture, v: Array, x: Array) -> Array:
    return jax.vmap(lambda y: law.log_density(y[None], v))(x)


def class_log_density(of: Problem, v: float, x: np.ndarray) -> np.ndarray:
    """Log p_v(x | c) at points [n].

    Args:
      of: the problem.
      v: noise variance.
      x: the points.
    """
    law = of.labeled.given(of.label)
    return np.asarray(_log_density(law, jnp.asarray(v), jnp.asarray(x)))


class Tilted(NamedTuple):
    """The tilted law p_v(x | c) p_v(c | x)^{w-1}/Z on a fixed grid.

    Attributes:
      x: points.
      log_values: its log density.
      log_z: log Z.
    """

    x: np.ndarray
    log_values: np.ndarray
    log_z: float


def tilted(of: Problem, strength: float, v: float) -> Tilted:
    """The tilted law.

    Args:
      of: the problem.
      strength: w, at least 0.
      v: noise variance.
    """
    parts = of.labeled.mixture.parts
    reach = _REACH * np.sqrt(np.max(np.asarray(parts.variances)) + v)
    means = np.asarray(parts.means)
    x = np.linspace(means.min() - reach, means.max() + reach, _POINTS)
    logs = class_log_density(of, v, x) + (strength - 1) * log_posterior(of, v, x)[0]
    top = logs.max()
    log_z = float(np.log(np.sum(np.exp(logs - top)) * (x[1] - x[0])) + top)
    return Tilted(x, logs - log_z, log_z)


def numbers(of: Problem, strength: float, path: Path) -> dict[str, float]:
    """What a guided law is like, beside the law of the class and the tilted one.

    Args:
      of: the problem.
      strength: w.
      path: the guided law.

    Returns:
      `mean`, `variance`, `accuracy` E p(c | X), `inverse` E[1/p(c | X)], `kl_tilted` of the guided
      law from the tilted one, `kl_class` of it from the class, `class_kl` of the class from it.
    """
    density, v = path.density, path.variance
    x, spacing = density.grid.points(), density.grid.spacing
    mass, logs = np.exp(density.log_values) * spacing, log_posterior(of, v, x)[0]
    own = class_log_density(of, v, x)
    aim = own + (strength - 1) * logs - tilted(of, strength, v).log_z
    mean = float(mass @ x)
    return {
        "mean": mean,
        "variance": float(mass @ (x - mean) ** 2),
        "accuracy": float(mass @ np.exp(logs)),
        "inverse": float(np.sum(np.exp(density.log_values - logs)) * spacing),
        "kl_tilted": float(mass @ (density.log_values - aim)),
        "kl_class": float(mass @ (density.log_values - own)),
        "class_kl": float(np.sum(np.exp(own) * (own - density.log_values)) * spacing),
    }


def share_above(path: Path, place: float) -> float:
    """The mass of a law above a place."""
    x = path.density.grid.points()
    q = np.exp(path.density.log_values) * path.density.grid.spacing
    total = np.concatenate([[0.0], np.cumsum((q[1:] + q[:-1]) / 2)])
    return float(total[-1] - np.interp(place, x, total))


def limit(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The limit of numbers at N, 2N, 4N, ... that has errors a/N + b/N^2 + ..., and its error.

    Args:
      values: shape [numbers of steps, ...], of three or more.

    Returns:
      The limit of second order, and how far it is from the last one: that at half the steps, or of
      first order where there are three numbers only.
    """
    first = 2 * values[1:] - values[:-1]
    second = (4 * first[1:] - first[:-1]) / 3
    before = second[-2] if len(second) > 1 else first[-1]
    return second[-1], np.abs(second[-1] - before)


_HALVES, _PAIR = (0.5, 0.5), (-1.0, 1.0)
OVERLAP = Problem("overlapping, ±1, s = 1", (0.7, 0.3), _PAIR, (1.0, 1.0), (0, 1))
APART = Problem("apart, ±1, s = 0.5", _HALVES, _PAIR, (0.5, 0.5), (0, 1))
FAR = Problem("far apart, ±1, s = 0.2", (0.7, 0.3), _PAIR, (0.2, 0.2), (0, 1))
_THREE = (0.5, 0.25, 0.25), (-1.0, 0.5, 3.0), (0.5, 0.5, 0.5), (0, 1, 1)
MODES = Problem("two modes, 0.5 and 3 against -1", *_THREE)
WIDE = Problem("wide class on a narrow one", _HALVES, (0.0, 0.0), (0.3, 1.0), (0, 1))
_INNER = (0.6, 0.3, 0.1), (-1.0, 1.0, 4.0), (0.5, 0.5, 0.5), (0, 1, 0)
BETWEEN = Problem("between two", *_INNER)

PROBLEMS = {of.name: of for of in (OVERLAP, APART, FAR, MODES, WIDE, BETWEEN)}
"""The mixtures of the statements, by name."""


@functools.cache
def limits(
    name: str, strength: float, sampler: str = "noise", steps: tuple[int, ...] = STEPS
) -> dict[str, tuple[float, float]]:
    """Numbers of a guided law in the limit of short steps, each with its error.

    Args:
      name: one of PROBLEMS.
      strength: w.
      sampler: one of SAMPLERS; Heun's method is of second order, and not extrapolated.
      steps: numbers of steps.
    """
    of = PROBLEMS[name]
    rows = [numbers(of, strength, carried(of, strength, n, sampler)) for n in steps]
    found = {}
    for key in rows[0]:
        values = np.array([row[key] for row in rows])
        value, error = (
            limit(values) if sampler == "noise" else (values[-1], values[-1] - values[-2])
        )
        found[key] = (float(value), float(np.abs(error)) + _ROUNDING)
    return found
