"""For which data EDM's grid beats Song's with the exact score: crossovers in the data scale."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from analyses.statement import Claim, Observations, Statement, Study
from design_space.arrays import Array
from design_space.bounds.optimality import grid_discretization_constant
from design_space.errors.gaussian import CommutingErrors, commuting_errors, discretization_total
from design_space.numerics.quadrature import gauss_legendre
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule

_STEPS = (10, 50, 100, 500)
_FINE = (500, 1000)  # from which the crossover is extrapolated
_STDS = np.geomspace(1e-4, 1e3, 150)
_LOW, _HIGH, _RHO = 0.002, 80.0, 7.0
_BISECTIONS = 48


@eqx.filter_jit
def _errors(stds: Array, grid: Schedule) -> CommutingErrors:
    levels = (grid.backward_variances, grid.backward_variance_steps)
    return jax.vmap(lambda s: commuting_errors(jnp.zeros(1), s[None] ** 2, *levels))(stds)


def _bisected(ratio) -> Array:
    """Where a falling function of ln s changes sign, s from 1e-4 to 1."""

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = 0.5 * (ends[0] + ends[1])
        above = ratio(jnp.exp(middle)) > 0
        return jnp.where(above, middle, ends[0]), jnp.where(above, ends[1], middle)

    ends = (jnp.asarray(np.log(1e-4)), jnp.asarray(0.0))
    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, ends)
    return jnp.exp(0.5 * (low + high))


@eqx.filter_jit
def _crossing(grids: tuple[Schedule, Schedule]) -> Array:
    """The data scale at which two grids have the same E_D."""

    def log_error(grid: Schedule, std: Array) -> Array:
        levels = (grid.backward_variances, grid.backward_variance_steps)
        return jnp.log(discretization_total(std[None] ** 2, *levels))

    return _bisected(lambda std: log_error(grids[0], std) - log_error(grids[1], std))


def crossover(steps: int) -> float:
    """The data scale s above which EDM's grid has the smaller E_D on N(0, s^2).

    Args:
      steps: N.
    """
    return float(_crossing((edm(steps), song(steps))))


_PANELS, _ORDER = 64, 16


def _rule() -> tuple[Array, Array]:
    nodes, weights = gauss_legendre(_ORDER)
    u = ((np.arange(_PANELS)[:, None] + nodes[None, :]) / _PANELS).ravel()
    return jnp.asarray(u), jnp.asarray(np.tile(weights / _PANELS, _PANELS))


_Path = tuple[Array, Array]
"""v(u) and v'(u) at the nodes of the rule."""


def _paths() -> tuple[_Path, _Path]:
    """EDM's and Song's grids as functions v(u), u = j/N."""
    u, _ = _rule()
    low, high = _LOW ** (1 / _RHO), _HIGH ** (1 / _RHO)
    root, v_song = low + (high - low) * u, _LOW**2 * (_HIGH / _LOW) ** (2 * u)
    edm_path = root ** (2 * _RHO), 2 * _RHO * (high - low) * root ** (2 * _RHO - 1)
    return edm_path, (v_song, 2 * np.log(_HIGH / _LOW) * v_song)


def _constant(path: _Path, std: Array) -> Array:
    """The limit of N E_D on N(0, std^2)."""
    v, speed = path
    return grid_discretization_constant(-1 / (std**2 + v) ** 2, speed, _rule()[1])


def limit_crossover() -> float:
    """The same as the number of steps grows, from the limits of N E_D on either grid."""
    first, second = _paths()
    return float(_bisected(lambda std: jnp.log(_constant(first, std) / _constant(second, std))))


@functools.cache
def _tables() -> dict[int, tuple[CommutingErrors, CommutingErrors]]:
    stds = jnp.asarray(_STDS)
    return {n: (_errors(stds, edm(n)), _errors(stds, song(n))) for n in _STEPS}


def _who_wins(quantity: str, song_always: bool = False) -> Observations:
    """The error of the grid that should win against the other's, for every scale and N."""
    left, right, names = [], [], []
    for steps, pair in _tables().items():
        ours, theirs = (np.asarray(getattr(errors, quantity)) for errors in pair)
        first = np.zeros(len(_STDS), bool) if song_always else crossover(steps) < _STDS
        left.append(np.where(first, ours, theirs))
        right.append(np.where(first, theirs, ours))
        names += [f"N = {steps}, N(0, {std:.3g}²)" for std in _STDS]
    bound = np.concatenate(right)
    # E_D is known to 1e-11 of itself, the marginal KL to 1e-10 times its cancellation.
    error = 1e-7 * bound
    return Observations(np.concatenate(left), bound, error, tuple(names), len(names))


def _limit() -> Observations:
    """The crossover extrapolated in 1/N against that of the limits."""
    coarse, fine = (crossover(n) for n in _FINE)
    found = 2 * fine - coarse
    error = 0.1 * abs(found - fine)  # the next term is smaller by a factor of N
    one = np.asarray([found]), np.asarray([limit_crossover()]), np.asarray([error])
    return Observations(*one, ("N to infinity",), 2 * len(_FINE) * _BISECTIONS)


_LEVELS = (250, 500, 1000)
_SCALES = np.geomspace(0.05, 5.0, 40)


def _constants() -> Observations:
    """N E_D extrapolated in 1/N against its limit, on either grid."""
    stds, found, right = jnp.asarray(_SCALES), [], []
    for grid, path in zip((edm, song), _paths(), strict=True):
        found.append([n * np.asarray(_errors(stds, grid(n)).discretization) for n in _LEVELS])
        right.append(np.asarray(jax.vmap(lambda s, path=path: _constant(path, s))(stds)))
    first, second, third = np.concatenate(np.asarray(found), axis=-1)
    once = 2 * second - first, 2 * third - second  # without the term in 1/N
    limit = (4 * once[1] - once[0]) / 3
    names = tuple(f"{name}, N(0, {s:.3g}²)" for name in ("edm", "song") for s in _SCALES)
    error = np.abs(limit - once[1]) + 1e-8 * limit
    return Observations(limit, np.concatenate(right), error, names, len(_LEVELS) * len(names))


def _growing() -> Observations:
    found = np.asarray([crossover(n) for n in (*_STEPS, _FINE[-1])])
    names = tuple(f"N = {n}" for n in (*_STEPS, _FINE[-1]))
    right = np.append(found[1:], limit_crossover())
    designs = 2 * len(found) * _BISECTIONS
    return Observations(found, right, np.zeros(len(found)), names, designs)


EDM_AGAINST_SONG = Statement(
    id="edm-against-song",
    title="For which data EDM's grid beats Song's",
    source="design_space, docs/theory/ledger.md, on Table 2 of arXiv 2406.12839",
    says="With the exact score, EDM's grid has the smaller E_D on N(0, s²) exactly above a scale "
    "s*(N), which grows with N to a limit; nearly point-like data prefer Song's.",
    latex=r"E_D^{\mathrm{EDM}} < E_D^{\mathrm{Song}} \iff s > s^*(N), \qquad s^*(N) \uparrow "
    r"s^*(\infty): \ \int_0^1 |I'(v)| \dot v^2 du \text{ equal for both}",
    printed=Claim(
        "E_D",
        "the smaller E_D is EDM's above the crossover and Song's below it",
        Study(lambda: _who_wins("discretization")),
    ),
    supporting=(
        Claim(
            "limit",
            "the crossover extrapolated in 1/N is that of the limits of N E_D",
            Study(_limit),
            "=",
        ),
        Claim(
            "N E_D",
            "N E_D extrapolated in 1/N is its limit, on both grids",
            Study(_constants),
            "=",
            to=1e-6,
        ),
        Claim("growing", "the crossover grows with N, up to its limit", Study(_growing)),
    ),
    broken=(
        Claim(
            "Song always",
            "with the exact score Song's grid has the smaller E_D, whatever the data",
            Study(lambda: _who_wins("discretization", song_always=True)),
        ),
        Claim(
            "marginal",
            "the crossover of E_D tells who has the smaller marginal KL as well",
            Study(lambda: _who_wins("marginal_kl")),
        ),
    ),
    derivation="On the grid v(j/N) the limit of N E_D is ¼ ∫ |I'(v(u))| v'(u)² du. For s → 0, "
    "|I'| = 1/v² and the geometric grid makes the integrand constant, which is best; for larger s "
    "the noise below s costs nothing, and a grid that spends fewer steps there wins. That Song's "
    "schedule is better with a well-trained score is a statement about the worst case over data.",
    expected="holds",
)

STATEMENTS = (EDM_AGAINST_SONG,)
