"""Families of few shapes, for tests that judge statements: each shape compiles once."""

import functools

from analyses.cases import measured
from analyses.families import Batch, named_designs, random_gaussians, two_modes


def _batches(*drawn):
    return tuple(Batch(designs, measured(designs)) for designs in drawn)


@functools.cache
def few_designs():
    """Named designs at two numbers of steps, random ones of two shapes, and two modes."""
    return {
        "named": functools.cache(lambda: _batches(*(named_designs(n) for n in (10, 100)))),
        "gaussian": functools.cache(
            lambda: _batches(random_gaussians(1, 2, 32), random_gaussians(3, 24, 32))
        ),
        "mixture": functools.cache(lambda: _batches(two_modes(3, 6))),
    }
