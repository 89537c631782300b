"""Remark 1: the empirical loss can be brought below the floor of the population loss."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from analyses import interpolation
from analyses.statement import Claim, Observations, Relation, Statement, Study
from design_space.bounds import objective


def _claim(name: str, says: str, run: Callable[[], Observations], relation: Relation, **options):
    return Claim(name, says, Study(run), relation, **options)


_INTERPOLATED = {"count": 512, "levels": 3, "width": 512}  # for three data each
_FITTED = {"count": 160, "levels": 3, "width": 24}
_MANY = {"count": 48, "levels": 3, "width": 12}  # for thousands of data each


class _Losses(NamedTuple):
    """Losses of models, their errors, and the floors, [models]."""

    empirical: np.ndarray
    population: np.ndarray
    error: np.ndarray
    floor: np.ndarray
    printed: np.ndarray
    names: tuple[str, ...]


def _names(model: str, given: interpolation.Designs) -> tuple[str, ...]:
    """What the model is, and the two modes, levels and weights that it is for."""

    def listed(values: np.ndarray) -> str:
        return " ".join(f"{x:.3g}" for x in values)

    columns = (given.means, given.variances, given.shares, given.sigmas, given.beta)
    return tuple(
        f"{model}, means {listed(m)}, variances {listed(s)}, weights {listed(w)}, σ {listed(v)}, "
        f"β {listed(b)}"
        for m, s, w, v, b in zip(*columns, strict=True)
    )


def _floors(given: interpolation.Designs, over: interpolation.Law) -> tuple[np.ndarray, np.ndarray]:
    """-C_bar with beta_j over sigma_j^2, and with the printed beta_j = w dt/sigma_j."""
    v = given.sigmas**2
    spread = interpolation.mmse(over)
    columns = (jnp.asarray(x) for x in (given.beta, spread, v))
    floor = np.asarray(jax.vmap(objective.equation_6_floor)(*columns))
    gaps = np.asarray(objective.gap_by_mmse(jnp.asarray(spread), jnp.asarray(v)))
    return floor, -0.5 * np.sum(given.beta * given.sigmas * gaps, axis=1)


@functools.cache
def _losses(kind: str, points: int = 3) -> _Losses:
    """Losses of models that interpolate data, of the best models for the law, of many data."""
    sizes = {"interpolated": _INTERPOLATED, "best": _FITTED, "many": _MANY}[kind]
    random = np.random.default_rng([10, len(kind)])
    given = interpolation.designs(random, **sizes)
    over = interpolation.law(given)
    floor, printed = _floors(given, over)
    count = len(floor)
    if kind == "best":
        found, empirical = interpolation.least_population(given, over), np.full(count, np.nan)
    else:
        data = interpolation.drawn(given, random, points)
        empirical, found = interpolation.least_empirical(given, *data)
    scores = interpolation.scores(given, over, found)
    population, error = interpolation.population_losses(given, over, scores)
    return _Losses(empirical, population, error, floor, printed, _names(kind, given))


@functools.cache
def _exact() -> _Losses:
    """Losses of the exact scores of the designs that are interpolated."""
    given = interpolation.designs(np.random.default_rng([10, len("interpolated")]), **_INTERPOLATED)
    over = interpolation.law(given)
    floor, printed = _floors(given, over)
    population, error = interpolation.population_losses(given, over, over.score)
    none, names = np.full(len(floor), np.nan), _names("exact score", given)
    return _Losses(none, population, error, floor, printed, names)


def _population(which: str) -> Callable[[], Observations]:
    """A floor over the population losses of every model, against 1."""

    def run() -> Observations:
        parts = _losses("interpolated"), _losses("best"), _exact()
        keys = (which, "population", "error")
        floor, loss, error = (np.concatenate([getattr(p, key) for p in parts]) for key in keys)
        names = tuple(name for p in parts for name in p.names)
        share = floor / loss
        return Observations(share, np.ones(len(names)), share * error / loss, names, len(names))

    return run


def _empirical(kind: str, share: float = 1.0, points: int = 3, above: bool = False):
    """The least empirical loss against a share of the floor, or the other way round."""

    def run() -> Observations:
        found = _losses(kind, points)
        sides = (found.empirical, share * found.floor)
        left, right = sides[::-1] if above else sides
        return Observations(left, right, np.zeros(len(left)), found.names, len(left))

    return run


def _attained() -> Observations:
    found = _exact()
    return Observations(found.population, found.floor, found.error, found.names, len(found.names))


REMARK_1 = Statement(
    id="remark-1",
    title="The empirical loss can reach 0, the population loss cannot",
    source="Remark 1 of arXiv 2406.12839",
    says="The empirical loss can be driven below -C̄ only because the number of data is bounded by "
    "the width; the population loss stays above -C̄ > 0.",
    latex=r"\bar{\mathcal L}(\theta) \ge -\bar C > 0, \qquad "
    r"\bar{\mathcal L}_{\mathrm{em}}(\theta) \to 0",
    printed=_claim(
        "printed",
        "-C̄ over the population loss is at most 1, with the printed β_j = w Δt/σ̄_j",
        _population("printed"),
        "<=",
    ),
    corrected=_claim(
        "corrected",
        "(1/2) Σ β_j mmse(v_j)/v_j over the population loss is at most 1",
        _population("floor"),
        "<=",
    ),
    corrected_latex=r"\bar{\mathcal L}(\theta) \ge \tfrac12 \sum_j \beta_j "
    r"\frac{\mathrm{mmse}(v_j)}{v_j} > 0",
    derivation="The remark is right once the factor of eq. (4) is: with the printed β_j, -C̄ is "
    "(1/2) Σ β_j mmse/σ̄_j³, above the loss of the exact score where noise levels are below 1. With "
    "w Δt/σ̄_j² it is the loss of the exact score, which no model undercuts; it is 0 only for data "
    "at one point. Random features wide enough for all X_ij bring the empirical loss to 0 and pay "
    "for it: their population loss is far above the floor; the best features for the law come "
    "close to it. With fixed width and more and more data the least empirical loss rises to the "
    "least population loss, so in this sense the number of data must be bounded; the last few "
    "percent below the floor need no interpolation, only features that are good enough.",
    supporting=(
        _claim(
            "driven below",
            "the least empirical loss of 512 features on three data is below the floor",
            _empirical("interpolated"),
            "<=",
        ),
        _claim("attained", "the exact score has the floor as its loss", _attained, "="),
        _claim(
            "many data",
            "on 3000 data the least empirical loss of 12 features is above .95 times the floor",
            _empirical("many", 0.95, 3000, above=True),
            "<=",
        ),
    ),
    broken=(
        _claim(
            "many data, below",
            "on 3000 data, too, the least empirical loss of 12 features is below the floor",
            _empirical("many", 1.0, 3000),
            "<=",
        ),
        _claim(
            "few data, above",
            "on three data the empirical loss of 512 features stays above the floor",
            _empirical("interpolated", above=True),
            "<=",
        ),
    ),
    expected="fails as printed; corrected form holds",
)

STATEMENTS = (REMARK_1,)
