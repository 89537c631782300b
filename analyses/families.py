"""The families of designs on which the ledger checks its statements, fixed and random.

Random designs come from a seeded generator of uniform numbers, so that they are the same on every
machine.
"""

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from analyses.cases import Case, Design, measured
from design_space.schedules.named import edm, schedule, song

SHAPES = ((1, 2, 208), (1, 12, 256), (6, 8, 224), (50, 24, 144))
"""Random Gaussian designs: dimension, steps and how many."""

MIXTURES = (5, 5, 40)
"""Random mixtures in one dimension: most components, steps and how many."""

NAMED_STEPS = (10, 500)
_SPREADS = {"Dirac": 0.0, "N(0, 0.005²)": 0.005, "N(0, 0.5²)": 0.5, "N(0, 20²)": 20.0}


class Batch(NamedTuple):
    """Designs of one shape, and the same measured."""

    designs: tuple[Design, ...]
    cases: Case


Families = Mapping[str, Callable[[], Sequence[Batch]]]
"""Families by name; each is measured when it is first asked for."""


def _log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** random.random())


def _normal(random: np.random.Generator, count: int) -> np.ndarray:
    """Standard normal numbers from uniform ones (Box and Muller)."""
    radius = np.sqrt(-2 * np.log1p(-random.random(count)))
    return radius * np.cos(2 * np.pi * random.random(count))


_WIDE = ((1e-3, 0.1), (2.0, 100.0))
_NARROW = ((0.02, 0.3), (2.0, 20.0))  # of mixtures, whose errors are integrals over the range
"""Where the least and the largest noise level of a random grid lie."""


def _grid(
    random: np.random.Generator, steps: int, ends: tuple[tuple[float, float], ...] = _WIDE
) -> tuple[str, np.ndarray]:
    """A grid of noise levels, descending: EDM's with any rho, Song's, or any monotone one."""
    low, high = (_log_uniform(random, *end) for end in ends)
    kind = random.integers(4)
    if kind == 0:
        rho = _log_uniform(random, 1.0, 20.0)
        return "edm", np.asarray(edm(steps, low, high, rho).backward_sigmas)
    if kind == 1:
        return "song", np.asarray(song(steps, low, high).backward_sigmas)
    gaps = 0.02 - np.log1p(-random.random(steps))
    share = np.concatenate([[0.0], np.cumsum(gaps) / np.sum(gaps)])
    return "random", high * (low / high) ** share


def _exponent(random: np.random.Generator) -> float:
    """Of sigma_bar_t = t^exponent: 1, 1/2, any above 1/2 or, in a fifth of the cases, below."""
    kind = random.integers(5)
    if kind < 2:
        return (1.0, 0.5)[kind]
    return 0.1 + 0.4 * random.random() if kind == 4 else 0.5 + 1.5 * random.random()


def _factor(random: np.random.Generator) -> float:
    return 1.0 if random.integers(2) else 0.5 + random.random()


def _spectrum(random: np.random.Generator, dim: int) -> np.ndarray:
    """Eigenvalues of a covariance: all equal, all different, or next to nothing."""
    kind = random.integers(8)
    if kind == 0:
        return np.zeros(dim)
    if kind == 1:
        return 1e-8 * random.random(dim)
    if kind < 4:
        return np.full(dim, _log_uniform(random, 1e-4, 1e2))
    return 1e-4 * 1e6 ** random.random(dim)


def random_gaussians(dim: int, steps: int, count: int, seed: int = 0) -> tuple[Design, ...]:
    """Random designs on Gaussian data.

    Args:
      dim: dimension of the data.
      steps: N.
      count: how many.
      seed: of the generator; dim and steps enter it too.
    """
    random, designs = np.random.default_rng([seed, dim, steps]), []
    for _ in range(count):
        kind, sigmas = _grid(random, steps)
        scale = _log_uniform(random, 0.01, 10.0) * random.integers(4).clip(max=1)
        mean, spread = scale * _normal(random, dim) + 0.0, _spectrum(random, dim)
        rest = {"exponent": _exponent(random), "factor": _factor(random), "name": kind}
        designs.append(Design.gaussian(mean, spread, sigmas, **rest))
    return tuple(designs)


def random_mixtures(most: int, steps: int, count: int, seed: int = 1) -> tuple[Design, ...]:
    """Random designs on mixtures of one to `most` components in one dimension.

    Args:
      most: components that every design has; some are equal, so that one to `most` differ.
      steps: N.
      count: how many.
      seed: of the generator.
    """
    random, designs = np.random.default_rng([seed, most, steps]), []
    for index in range(count):
        kind, sigmas = _grid(random, steps, _NARROW)
        own = np.arange(most) % (index % most + 1)
        weights = 0.1 + random.random(most)
        means = _log_uniform(random, 0.1, 4.0) * _normal(random, most)
        spread = (0.03 * 50 ** random.random(most)) ** 2
        laws = (weights / weights.sum(), means[own, None], spread[own, None])
        rest = {"exponent": _exponent(random), "factor": _factor(random), "name": kind}
        designs.append(Design(*laws, sigmas, **rest))
    return tuple(designs)


def two_modes(most: int, steps: int) -> tuple[Design, ...]:
    """Two narrow modes, sampled over the noise levels at which they part and over all of them.

    Args:
      most: components that every design has; those beyond two are copies.
      steps: N.
    """
    signs, spread = np.arange(most) % 2 * 2.0 - 1, np.full((most, 1), 0.02**2)
    weights = np.where(signs > 0, 0.5 / np.sum(signs > 0), 0.5 / np.sum(signs < 0))
    return tuple(
        Design(weights, signs[:, None], spread, np.geomspace(high, low, steps + 1), name=name)
        for name, high, low in (("two modes part", 0.55, 0.26), ("two modes", 80.0, 0.002))
    )


def named_designs(steps: int) -> tuple[Design, ...]:
    """EDM's, Song's and the mixed schedules on point masses and Gaussians in one dimension."""
    grids = {
        "edm": (edm(steps), 1.0),
        "song": (song(steps), 0.5),
        "linear-exponential": (schedule("linear", "exponential", steps=steps), 1.0),
        "sqrt-polynomial": (schedule("sqrt", "polynomial", steps=steps), 0.5),
    }
    return tuple(
        Design.gaussian(
            1.0 if std == 0 else 0.0,
            std**2,
            np.asarray(grid.backward_sigmas),
            exponent=exponent,
            name=f"{name}, {target}",
        )
        for target, std in _SPREADS.items()
        for name, (grid, exponent) in grids.items()
    )


def _batches(drawn: Sequence[tuple[Design, ...]]) -> tuple[Batch, ...]:
    return tuple(Batch(designs, measured(designs)) for designs in drawn)


def _once(make: Callable[[], tuple[Batch, ...]]) -> Callable[[], tuple[Batch, ...]]:
    """Calls `make` when first asked; a thread that asks meanwhile waits."""
    lock, found = threading.Lock(), []

    def get() -> tuple[Batch, ...]:
        with lock:
            if not found:
                found.append(make())
        return found[0]

    return get


@functools.cache
def families(share: float = 1.0) -> Families:
    """The families by name, measured once in a process.

    Args:
      share: of the numbers of random designs; 1 is the ledger's size.
    """

    def count(number: int) -> int:
        return max(2, round(share * number))

    return {
        "named": _once(lambda: _batches([named_designs(n) for n in NAMED_STEPS])),
        "gaussian": _once(
            lambda: _batches([random_gaussians(d, n, count(k)) for d, n, k in SHAPES])
        ),
        "mixture": _once(
            lambda: _batches(
                [two_modes(*MIXTURES[:2]) + random_mixtures(*MIXTURES[:2], count(MIXTURES[2]))]
            )
        ),
    }
