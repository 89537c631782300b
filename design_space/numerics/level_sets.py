"""Level sets {f <= c} of smooth functions on the line, and the masses of densities on them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq

from design_space.numerics.cumulative import Cumulative
from design_space.numerics.grid import Grid, interpolate

_SHRINKS = (1.0, 0.125, 2.0**-6, 2.0**-9)  # distances of three points around an extreme, in cells
_NOISE = 1e-12  # a change of f from point to point, against its size, that may be rounding
_ITERATIONS = 60  # of the secant rule; some six are needed
CLOSE = 1e-13
"""How far levels and crossings are solved for: |f - c| against 1 + |c|."""


class LevelSets(NamedTuple):
    """A function f, cut where it turns: between neighboring nodes it is monotone.

    Attributes:
      grid: points that resolve f.
      values: f at the points, shape [size].
      nodes: the points and the places where f turns, ascending.
      heights: f at the nodes.
    """

    grid: Grid
    values: np.ndarray
    nodes: np.ndarray
    heights: np.ndarray

    @staticmethod
    def of(
        grid: Grid, values: Float[np.ndarray, " size"], matters: Bool[np.ndarray, " size"]
    ) -> "LevelSets":
        """Finds where the function turns.

        Args:
          grid: points that resolve f.
          values: f at the points, shape [size].
          matters: where it matters, shape [size]; elsewhere f is taken to be monotone between
            points.
        """
        places = _turns(grid, values, matters)
        nodes = np.concatenate([grid.points(), places])
        heights = np.concatenate([values, interpolate(grid, values, places)])
        order = np.argsort(nodes, kind="stable")
        return LevelSets(grid, values, nodes[order], heights[order])

    def edges(self, levels: Float[np.ndarray, " levels"]) -> "Edges":
        """The ends of the intervals that make up {f <= level}, for each level.

        Args:
          levels: c, shape [levels].
        """
        found = [_crossed(self.heights, float(level)) for level in levels]
        cells = np.concatenate([cells for cells, _ in found])
        which = np.repeat(np.arange(len(levels)), [len(cells) for cells, _ in found])
        signs = np.concatenate([signs for _, signs in found])
        return Edges(which, self._crossings(cells, levels[which]), signs)

    def _crossings(self, cells: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Where f is equal to levels between nodes, by the secant rule that keeps brackets."""
        a, b = self.nodes[cells], self.nodes[cells + 1]
        of_a, of_b = self.heights[cells] - levels, self.heights[cells + 1] - levels
        small = CLOSE * (1 + np.abs(levels))
        for _ in range(_ITERATIONS):
            if np.all(np.abs(of_b) <= small):
                break
            flat = of_b == of_a
            x = b - np.where(flat, 0.0, of_b * (b - a) / np.where(flat, 1.0, of_b - of_a))
            of_x = interpolate(self.grid, self.values, x) - levels
            over = of_x * of_b < 0
            a, of_a = np.where(over, b, a), np.where(over, of_b, 0.5 * of_a)
            b, of_b = x, of_x
        return b

    def masses(
        self,
        levels: Float[np.ndarray, " levels"],
        densities: tuple[Cumulative, ...],
        window: tuple[float, float] = (-np.inf, np.inf),
    ) -> Float[np.ndarray, "densities levels"]:
        """The mass of each density on {f <= level} inside a window.

        Args:
          levels: c, shape [levels].
          densities: on the grid of f.
          window: its ends.

        Returns:
          Shape [densities, levels].
        """
        ends = np.clip(np.array(window), self.grid.origin, self.grid.end)
        edges = self.edges(levels)
        places = np.clip(edges.places, *ends)
        starts, finishes = self.heights[0] <= levels, self.heights[-1] <= levels
        found = []
        for density in densities:
            low, high = density(ends)
            inner = np.bincount(edges.which, edges.signs * density(places), len(levels))
            found.append(inner + finishes * high - starts * low)
        return np.stack(found)


class Edges(NamedTuple):
    """Ends of intervals.

    Attributes:
      which: index of the level, shape [edges], ascending.
      places: positions, ascending for each level, shape [edges].
      signs: 1 where f rises through the level, -1 where it falls, shape [edges].
    """

    which: np.ndarray
    places: np.ndarray
    signs: np.ndarray


def _crossed(heights: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The cells between nodes that hold a level, and in which direction f runs there."""
    low = heights <= level
    cells = np.flatnonzero(low[1:] != low[:-1])
    return cells, np.where(low[cells], 1.0, -1.0)


def _turns(grid: Grid, values: np.ndarray, matters: np.ndarray) -> np.ndarray:
    """Where a function turns, as the vertex of parabolas through three points ever closer."""
    change = np.diff(values)
    turns = (change[:-1] > 0) != (change[1:] > 0)
    size = np.maximum(np.abs(change[:-1]), np.abs(change[1:]))
    heard = matters[1:-1] & (size > _NOISE * (1 + np.abs(values[1:-1])))
    middle = grid.points()[1:-1][turns & heard]
    x = middle
    for shrink in _SHRINKS:
        step = shrink * grid.spacing
        around = np.concatenate([x - step, x, x + step])
        left, here, right = np.split(interpolate(grid, values, around), 3)
        bend = left - 2 * here + right
        move = 0.5 * step * (left - right) / np.where(bend == 0, 1.0, bend)
        x = np.where(bend == 0, x, x + np.clip(move, -step, step))
        x = np.clip(x, middle - grid.spacing, middle + grid.spacing)
    return x


def level_of_mass(sets: LevelSets, density: Cumulative, mass: float) -> float:
    """The level c at which a density has a given mass on {f <= c}.

    Args:
      sets: of f.
      density: on the grid of f.
      mass: above 0 and below the total.

    Returns:
      c, to about 1e-13 of 1 + |c|.
    """
    order = np.argsort(sets.values)
    sums = np.cumsum(np.exp(density.log_density[order])) * density.grid.spacing
    ranked = sets.values[order]
    guess = float(ranked[min(np.searchsorted(sums, mass), len(ranked) - 1)])

    def off(level: float) -> float:
        return float(sets.masses(np.array([level]), (density,))[0, 0]) - mass

    return root_near(off, guess, 0.05)


def root_near(rising: Callable[[float], float], guess: float, step: float) -> float:
    """The root of a function that rises from below 0 to above.

    Args:
      rising: the function.
      guess: where the search begins.
      step: how far it first looks; twice as far each time.
    """
    low, high = guess - step, guess + step
    while rising(low) > 0:
        low, high, step = low - 2 * step, low, 2 * step
    while rising(high) < 0:
        low, high, step = high, high + 2 * step, 2 * step
    root: Any = brentq(rising, low, high, xtol=CLOSE * (1 + abs(guess)))
    return root
