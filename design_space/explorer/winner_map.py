"""EDM or Song: whose schedule has the smaller error on N(0, s^2), over the scale s and N.

The table is computed once and kept beside this module; `python -m design_space.explorer.winner_map`
computes it again. Both schedules run from sigma = 80 to 0.002, with the frozen-score sampler.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, float64
from design_space.explorer.gaussian_program import Inputs, gaussian_program
from design_space.explorer.parts import grid_of
from design_space.explorer.state import State
from design_space.numerics.startup import prepare_jax

CRITERIA = ("path_kl", "marginal_kl")
"""What is compared: the path KL less E_I, which both have alike; or the KL of the last points."""

EDM, SONG = State(), State(variance="sqrt", time="exponential")

_FILE = Path(__file__).with_suffix(".npz")
_STDS = np.geomspace(1e-3, 100.0, 101)
_STEPS = (5, 6, 7, 8, 10, 12, 14, 17, 20, 25, 30, 35, 40, 50, 60, 70, 85, 100, 120, 140, 170, 200)
_FACTORS = (0.9, 1.0, 1.1, 1.3)


@dataclass(frozen=True)
class WinnerMap:
    """The logarithm of EDM's error over Song's: below 0, EDM wins.

    Attributes:
      stds: s, ascending, shape [stds], in data units.
      steps: N, ascending, shape [steps].
      factors: what the exact score is multiplied by, shape [factors].
      path_kl: for E_D + E_S, shape [factors, steps, stds].
      marginal_kl: for KL(p_{v_N} | q_N), likewise.
    """

    stds: np.ndarray
    steps: np.ndarray
    factors: np.ndarray
    path_kl: np.ndarray
    marginal_kl: np.ndarray

    def rows(self, criterion: str, factor: float = 1.0) -> np.ndarray:
        """The logarithm of the ratio, shape [steps, stds].

        Args:
          criterion: one of CRITERIA.
          factor: one of `factors`.

        Raises:
          ValueError: if there is no such criterion or factor.
        """
        checks.one_of("criterion", criterion, CRITERIA)
        place = np.flatnonzero(np.isclose(self.factors, factor))
        if not place.size:
            domain = "one of " + ", ".join(f"{f:g}" for f in self.factors)
            raise checks.refusal("factor", factor, domain, "choose one of these")
        return getattr(self, criterion)[place[0]]

    def crossings(self, criterion: str, steps: int, factor: float = 1.0) -> tuple[float, ...]:
        """The scales s at which the winner changes, between grid points by a straight line in ln s.

        Args:
          criterion: one of CRITERIA.
          steps: N, one of `steps`.
          factor: one of `factors`.

        Raises:
          ValueError: if there is no such number of steps, criterion or factor.
        """
        place = np.flatnonzero(self.steps == steps)
        if not place.size:
            domain = "one of " + ", ".join(str(n) for n in self.steps)
            raise checks.refusal("steps", steps, domain, "choose one of these")
        row, logs = self.rows(criterion, factor)[place[0]], np.log(self.stds)
        at = np.flatnonzero(np.sign(row[:-1]) * np.sign(row[1:]) < 0)
        share = row[at] / (row[at] - row[at + 1])
        return tuple(np.exp(logs[at] + share * (logs[at + 1] - logs[at])).tolist())


@functools.cache
def load() -> WinnerMap:
    """The table that is kept beside this module."""
    with np.load(_FILE, allow_pickle=False) as kept:
        return WinnerMap(**{name: kept[name] for name in kept.files})


@eqx.filter_jit
def _errors(given: Inputs, stds: Float[Array, " stds"]) -> tuple[Array, Array]:
    """E_D + E_S and the marginal KL, shape [stds] each."""

    def one(std: Array) -> tuple[Array, Array]:
        found = gaussian_program(eqx.tree_at(lambda g: g.std, given, std), "frozen")
        return found.discretization.value + found.score.value, found.marginal_kl.value

    return eqx.filter_vmap(one)(stds)


def _ratios(steps: int, factor: float, stds: np.ndarray) -> np.ndarray:
    """The logarithms of both ratios, shape [criteria, stds]."""
    each = []
    for state in (EDM, SONG):
        grid = grid_of(state.changed(steps=steps))
        given = Inputs(float64(0.0), float64(1.0), grid, float64(factor))
        each.append(np.log(np.stack(_errors(given, jnp.asarray(stds)))))
    return each[0] - each[1]


def build(
    stds: np.ndarray = _STDS,
    steps: tuple[int, ...] = _STEPS,
    factors: tuple[float, ...] = _FACTORS,
) -> WinnerMap:
    """Computes the table.

    Args:
      stds: s, ascending, above 0.
      steps: N, ascending.
      factors: of the score.
    """
    found = np.array([[_ratios(n, factor, stds) for n in steps] for factor in factors])
    path, marginal = np.moveaxis(found, 2, 0).astype(np.float32)
    return WinnerMap(stds, np.array(steps), np.array(factors), path, marginal)


def main() -> None:
    """Computes the table and keeps it."""
    prepare_jax()
    found = build()
    np.savez_compressed(_FILE, **vars(found))


if __name__ == "__main__":
    main()
