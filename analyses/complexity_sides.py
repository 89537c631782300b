"""Both sides of what appendix I.1 says: errors against bounds, accuracies, numbers of steps."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from analyses.cases import Case
from analyses.statement import Assumption, Check, Observations, Sides, Study
from analyses.step_counts import (
    COUNT,
    GROWTH,
    Kind,
    Problems,
    along_axes,
    drawn,
    errors,
    least_steps,
    printed_steps,
)
from design_space.arrays import Array
from design_space.bounds import complexity, schedule_choice
from design_space.bounds.complexity import ComplexityConstants
from design_space.bounds.sampling import BoundTerms
from design_space.numerics.rates import log_log_slope

_ROUNDING = 1e-10


def _total(case: Case) -> tuple[Array, Array]:
    """E_I + E_D, and its error."""
    parts = (case.errors.initialization, case.errors.discretization)
    return parts[0].value + parts[1].value, parts[0].error + parts[1].error


def _times(case: Case, kind: Kind) -> Array:
    """The times that the grid of a case has under a variance schedule."""
    sigmas = case.schedule.backward_sigmas
    return sigmas if kind.exponent == 1 else sigmas**2


def _longest(case: Case, kind: Kind) -> Array:
    """The largest ln(u_j/u_{j+1})."""
    return jnp.max(-jnp.diff(jnp.log(_times(case, kind))))


def no_long_step(kind: Kind) -> Assumption:
    """That every step is at most ln 2 in the logarithm of the kind's time."""
    return Assumption(
        "no step more than halves the time",
        lambda case: _longest(case, kind) <= np.log(2) * (1 + 1e-9),
    )


def _is_exponential(case: Case) -> Array:
    falls = -jnp.diff(jnp.log(case.schedule.backward_sigmas))
    return jnp.max(falls) - jnp.min(falls) <= 1e-9 * jnp.max(falls)


EXPONENTIAL = Assumption("the times are exponential", _is_exponential)


def _sums(kind: Kind) -> Callable[..., BoundTerms]:
    return complexity.linear_sums if kind.exponent == 1 else complexity.sqrt_sums


def _closed_form(kind: Kind) -> Callable[..., BoundTerms]:
    linear = kind.exponent == 1
    return complexity.linear_exponential if linear else complexity.sqrt_exponential


def against_sum(kind: Kind, sharp: bool):
    """E_I + E_D against the sum over steps, as printed or with the constants of a point mass."""

    def sides(case: Case) -> Sides:
        constants = None
        if sharp:
            cost = schedule_choice.step_constant(_longest(case, kind), 2 * kind.exponent)
            constants = ComplexityConstants(0.5, cost, 0.0)
        moment = case.target.second_moment()
        found, error = _total(case)
        given = (case.target.dim, moment, _times(case, kind), constants)
        bound = _sums(kind)(*given).total
        return Sides(found, bound, error + _ROUNDING * bound)

    return sides


def against_closed_form(kind: Kind):
    """E_I + E_D against the closed form for exponential times."""

    def sides(case: Case) -> Sides:
        times = _times(case, kind)
        found, error = _total(case)
        moment, steps = case.target.second_moment(), case.schedule.steps
        given = (case.target.dim, moment, times[-1], times[0], steps)
        return Sides(found, _closed_form(kind)(*given).total, error)

    return sides


def uniform_times(kind: Kind) -> Check:
    """E_I + E_D of uniform times against the closed form for exponential ones."""

    def run() -> Observations:
        problems = drawn(kind, point_mass=True, largest=1.0)
        problems = eqx.tree_at(lambda p: p.rho, problems, jnp.ones(COUNT))
        moment, steps = problems.second_moment, jnp.full(COUNT, 64.0)
        high = kind.horizon(moment, problems.accuracy)
        found = errors(Kind(kind.exponent, True), problems, high, steps)
        given = (problems.dim, moment, problems.low, high, steps)
        bound = jax.vmap(lambda *numbers: _closed_form(kind)(*numbers).total)(*given)
        return _observed(problems, found[0] + found[1], bound, 0.0)

    return Study(run)


def one_step(kind: Kind) -> Check:
    """E_I + E_D of a point mass at 0 with one step from T to delta = 1, against the sum."""

    def run() -> Observations:
        ratios = np.geomspace(2.001, 1e4, COUNT)
        high, ones = jnp.asarray(ratios), jnp.ones(COUNT)
        problems = Problems(ones, 0 * ones, 0 * ones, ones, ones, ones)
        found = errors(Kind(kind.exponent, False), problems, high, ones)
        times = jnp.stack([high, ones], axis=1)
        bound = jax.vmap(lambda t: _sums(kind)(1.0, 0.0, t).total)(times)
        return _observed(problems, found[0] + found[1], bound, 0.0)

    return Study(run)


def _observed(problems: Problems, left: Array, right: Array, error: Array | float) -> Observations:
    left, right = np.asarray(left), np.asarray(right)
    labels = problems.labels()
    return Observations(left, right, np.broadcast_to(error, left.shape), labels, len(labels))


def accuracy_reached(kind: Kind, sharper: bool) -> Check:
    """E_I + E_D at the printed (or sufficient) number of steps against the accuracy."""

    def run() -> Observations:
        problems = drawn(kind, point_mass=False, largest=100.0)
        high = kind.horizon(problems.second_moment, problems.accuracy)
        steps = _sufficient(kind, problems) if sharper else printed_steps(kind, problems)
        found = errors(kind, problems, high, jnp.ceil(steps))
        return _observed(problems, found[0] + found[1], problems.accuracy, _ROUNDING * found[1])

    return Study(run)


def _sufficient(kind: Kind, problems: Problems) -> np.ndarray:
    """Steps that suffice on Gaussian data, not rounded."""
    ratio = kind.horizon(problems.second_moment, problems.accuracy) / problems.low
    given = (problems.dim, ratio**kind.exponent, problems.accuracy)
    if kind.polynomial:
        rho = kind.exponent * problems.rho
        return np.asarray(jax.vmap(schedule_choice.sufficient_steps)(*given, rho))
    return np.asarray(jax.vmap(schedule_choice.sufficient_steps)(*given))


def needed_at_least(kind: Kind) -> Check:
    """The printed number of steps against those that a point mass needs, m2^2 <= d, whatever T.

    There E_I <= eps asks for m2^2/(2 sigma_max^2) <= eps, and E_D grows with T: no choice of T gets
    along with fewer steps than the least T that this allows.
    """

    def run() -> Observations:
        problems = drawn(kind, point_mass=True, largest=1.0, seed=1)
        high = kind.horizon(problems.second_moment, 2 * problems.accuracy)
        found = least_steps(kind, problems, high, problems.accuracy)
        return _observed(problems, printed_steps(kind, problems), found, 0.0)

    return Study(run)


def enough(kind: Kind, *, point_mass: bool, largest: float) -> Check:
    """The printed number of steps against one that is enough: at the printed T, E_D <= eps/2.

    Args:
      kind: of the schedule.
      point_mass: whether all data are point masses, else half of them.
      largest: the most that m2^2/d is.
    """

    def run() -> Observations:
        problems = drawn(kind, point_mass=point_mass, largest=largest, seed=1)
        high = kind.horizon(problems.second_moment, problems.accuracy)
        found = least_steps(kind, problems, high, problems.accuracy / 2)
        return _observed(problems, printed_steps(kind, problems), found, 0.0)

    return Study(run)


def exponents(kind: Kind, printed: bool) -> Check:
    """Fitted exponents of the steps needed on a point mass against those of a formula."""

    def run() -> Observations:
        problems, names = along_axes(kind)
        high = kind.horizon(problems.second_moment, problems.accuracy)
        # at this T a point mass has E_I = eps/2
        found = np.asarray(least_steps(kind, problems, high, problems.accuracy / 2))
        formula = printed_steps(kind, problems) if printed else _sufficient(kind, problems)
        across = np.tile(GROWTH, (len(names), 1))
        fit = jax.vmap(log_log_slope)
        measured = fit(jnp.asarray(across), jnp.asarray(found * 1.0).reshape(len(names), 8))
        given = fit(jnp.asarray(across), jnp.asarray(formula).reshape(len(names), 8))
        left, right, error = (np.asarray(x) for x in (measured.value, given.value, measured.error))
        return Observations(left, right, error, names, len(found))

    return Study(run)
