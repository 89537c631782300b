"""The numbers of a state with a mixture on the line: path terms at once, the law step by step."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, float64
from design_space.errors.line import line_errors
from design_space.errors.line_law import LineLaws
from design_space.errors.marginal import marginal_errors, square_root
from design_space.errors.path import without_path
from design_space.explorer.controls import MOST_STEPS
from design_space.explorer.design import sections
from design_space.explorer.information import Information, information, line_of
from design_space.explorer.line_path import path_steps
from design_space.explorer.line_program import (
    initialization_of,
    line_bounds,
    moves_of,
    target_of,
)
from design_space.explorer.line_rows import Carried, carried, carry, laws_of
from design_space.explorer.numbers import Bound, FisherCurve, Numbers, Value
from design_space.explorer.parts import bounds_of, evaluations_of, grid_of, value_of
from design_space.explorer.pictures import curve_sigmas, fisher_curve, moments
from design_space.explorer.state import State
from design_space.explorer.typed_mixture import TypedMixture
from design_space.numerics.estimate import Estimate
from design_space.numerics.grid import Grid
from design_space.sampling.line_density import COARSE, FINE, LineDensity, Resolution
from design_space.sampling.line_flow import SqueezeError
from design_space.sampling.moves import AbstractMove, OneStage
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score
from design_space.specification import Specification
from design_space.targets.line import Line

_AT_ONCE = 0.1  # seconds that the law may take in the first answer
_FEW, _FEW_MAPS = 3, 8  # fewer steps, with noise and without, ask for grids that take seconds
_QUICK = 1 << 12  # points of the largest grid of the first answer
_SINGLE = 1e-4  # relative error that one resolution alone is trusted with
_SAMPLES = 4096  # of a sampler that folds, as `design-space evaluate` has it
_PENDING = "the law of the sampler is being computed"
_FOLDS = "the sampler folds the line, which makes its density unbounded; it is compared by draws"


class _Quick(Resolution):
    """A resolution whose grids stay small: a move that needs a large one is left to refinement."""

    def grid(self, low: float, high: float, spacing: float) -> Grid:
        """See Resolution; raises ValueError for more than _QUICK points."""
        room = 0.5 * self.margin * (high - low)
        return Grid.covering(low - room, high + room, spacing, _QUICK)


class Design(NamedTuple):
    """A mixture design, ready for its parts.

    Attributes:
      state: the state.
      law: of the data.
      line: the same.
      sigmas: backward noise levels, shape [steps + 1].
      moves: of the sampler.
      score: the score.
    """

    state: State
    law: TypedMixture
    line: Line
    sigmas: np.ndarray
    moves: tuple[AbstractMove, ...]
    score: AbstractScore

    @property
    def factor(self) -> float:
        """What the exact score is multiplied by."""
        return self.state.factor if self.state.score == "scaled" else 1.0


class _Marginal(NamedTuple):
    """What is known of the law: KL and W2, the rows, and why some are missing."""

    kl: Value
    w2: Value
    carried: Carried
    missing: str | None


def design_of(state: State) -> Design:
    """The design of a state with a mixture.

    Args:
      state: the state.
    """
    law = state.components()
    line = line_of(law)
    sigmas, moves = moves_of(line, grid_of(state), state.sampler, state.steps)
    exact = exact_score(target_of(line))
    score = scaled_score(exact, state.factor) if state.score == "scaled" else exact
    return Design(state, law, line, sigmas, moves, score)


class _Path(NamedTuple):
    """Terms of the path, per step and summed."""

    discretization_steps: np.ndarray
    score_steps: np.ndarray
    values: dict[str, Value]


def _second_moment(law: TypedMixture) -> float:
    mean, variance = moments(law)
    return variance + mean * mean


def _path(design: Design, table: Information) -> _Path:
    """E_I, E_D, E_S and their sum."""
    start = value_of(initialization_of(design.line, design.state.sigma_max))
    reason = without_path(design.moves)
    if reason is not None:
        none, no = np.full(design.state.steps, np.nan), Value(None, None, None, reason)
        names = ("discretization", "score", "path_kl")
        return _Path(none, none, {"initialization": start} | dict.fromkeys(names, no))
    (move,) = design.moves
    assert isinstance(move, OneStage)  # without_path refuses all others
    found = path_steps(table, _second_moment(design.law), move, design.factor)
    steps = ((found.discretization, found.discretization_error), (found.score, found.score_error))
    parts = [(float(np.sum(value)), float(np.sum(error))) for value, error in steps]
    assert start.value is not None
    assert start.error is not None
    total = (start.value + parts[0][0] + parts[1][0], start.error + parts[0][1] + parts[1][1])
    values = {"initialization": start}
    for name, each in zip(("discretization", "score", "path_kl"), (*parts, total), strict=True):
        values[name] = Value(*each, "quadrature")
    return _Path(found.discretization, found.score, values)


def _bounds(design: Design, table: Information, score_steps: np.ndarray) -> tuple[Bound, ...]:
    """The bounds, for the paper's sampler."""
    state = design.state
    if state.sampler != "frozen":
        return ()
    padded = np.zeros(MOST_STEPS)
    padded[: state.steps] = score_steps
    variances = np.full(MOST_STEPS, design.sigmas[-1] ** 2)
    variances[: state.steps] = design.sigmas[:-1] ** 2
    mmse = jnp.asarray(table.posterior(variances))
    second = float64(_second_moment(design.law))
    return bounds_of(line_bounds(grid_of(state), second, jnp.asarray(padded), mmse))


def _curve(design: Design, table: Information) -> FisherCurve:
    levels = curve_sigmas(design.sigmas)
    return fisher_curve(levels, table.fisher(levels**2), table.error[0])


def _numbers(design: Design, law: _Marginal, final: bool) -> Numbers:
    """Everything, with what is known of the law."""
    table = information(design.law)
    path = _path(design, table)
    state, start = design.state, path.values["initialization"].value
    assert start is not None
    return Numbers(
        state=state,
        backward_sigmas=design.sigmas,
        initialization=start,
        discretization_steps=path.discretization_steps,
        score_steps=path.score_steps,
        fisher=_curve(design, table),
        values=path.values | {"marginal_kl": law.kl, "w2": law.w2},
        bounds=_bounds(design, table, path.score_steps),
        laws=laws_of(design.law, design.sigmas, law.carried.rows, law.missing),
        evaluations=evaluations_of(state.sampler, state.steps),
        final=final,
    )


def _compared(design: Design, coarse: LineDensity, fine: LineDensity, pending: bool) -> list[Value]:
    """KL and W2 of a density at two resolutions; one of them alone is trusted with _SINGLE."""
    rounding = 64 * EPS * (design.state.steps * len(design.moves) + 16)
    variance = float64(design.sigmas[-1]) ** 2
    with np.errstate(over="ignore"):  # a law that is nearly singular; then the error is infinite
        found = line_errors(design.line, variance, LineLaws(coarse, fine, rounding))
    each = []
    for estimate in (found.marginal_kl, square_root(found.w2_squared)):
        value = value_of(estimate, pending)
        if coarse is fine and value.value is not None and value.error is not None:
            error = value.error + _SINGLE * abs(value.value) + _SINGLE**2
            value = Value(value.value, error, value.method, None, pending)
        each.append(value)
    return each


def _none(reason: str, rows: Carried, pending: bool = False) -> _Marginal:
    no = Value(None, None, None, reason, pending)
    return _Marginal(no, no, rows, reason)


def _by_draws(design: Design, rows: Carried) -> _Marginal:
    """The errors of a sampler that folds, as `design-space evaluate` has them."""
    found = Specification.parse(sections(design.state))
    grid = found.schedule()
    key = jax.random.key(0)
    parts = (found.target(), grid, found.score(grid), key, _SAMPLES, found.sampler(grid))
    marginals = marginal_errors(*parts)
    w2: Estimate = square_root(marginals.w2_squared)
    return _Marginal(value_of(marginals.marginal_kl), value_of(w2), rows, _FOLDS)


def _carried(design: Design, how: Resolution) -> Iterator[Carried]:
    return carried(design.law, design.sigmas, design.score, design.moves, how)


def line_coarse(state: State, seconds: float = _AT_ONCE) -> Numbers:
    """Path terms and bounds, and the law of the sampler as far as the time allows.

    Of few long steps, and of steps that ask for large grids, there is no law yet.

    Args:
      state: the state; its data are a mixture.
      seconds: that the law may take.
    """
    design = design_of(state)
    rows = Carried([], None)
    noisy = all(move.noisy for move in design.moves)
    try:
        if state.steps >= (_FEW if noisy else _FEW_MAPS):
            found = carry(_carried(design, _Quick(*COARSE)), lambda: False, seconds)
            rows = rows if found is None else found
        if rows.last is not None:
            kl, w2 = _compared(design, rows.last, rows.last, True)
            return _numbers(design, _Marginal(kl, w2, rows, None), False)
    except ValueError:
        pass  # which a refinement can explain, or does without the grid
    return _numbers(design, _none(_PENDING, rows, True), False)


def line_refined(state: State, stop: Callable[[], bool]) -> Iterator[Numbers]:
    """The law at one resolution, then at two, whose difference is the stated error.

    Args:
      state: the state; its data are a mixture.
      stop: asked after each move of the sampler; True ends the iteration.

    Yields:
      The numbers, the last time with `final` = True.
    """
    design = design_of(state)
    none = Carried([], None)
    try:
        coarse = carry(_carried(design, COARSE), stop)
        if coarse is None or coarse.last is None:
            return
        kl, w2 = _compared(design, coarse.last, coarse.last, True)
        yield _numbers(design, _Marginal(kl, w2, coarse, None), False)
        fine = carry(_carried(design, FINE), stop)
        if fine is None or fine.last is None:
            return
        kl, w2 = _compared(design, coarse.last, fine.last, False)
        yield _numbers(design, _Marginal(kl, w2, fine, None), True)
    except SqueezeError:
        if not stop():
            yield _numbers(design, _by_draws(design, none), True)
    except ValueError as error:
        yield _numbers(design, _none(str(error), none), True)
