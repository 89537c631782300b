"""Hand-made claims and designs for the tests of the ledger's machinery."""

import numpy as np

from analyses.cases import Design, measured
from analyses.families import Batch
from analyses.statement import Claim, Observations, Statement, Study


def gaussian(sigmas, mean=0.0, variance=0.25, **rest):
    """A design on Gaussian data in one dimension."""
    rest = {"name": f"from {sigmas[0]:g}"} | rest
    return Design.gaussian(mean, variance, np.asarray(sigmas, float), **rest)


def batch_of(designs):
    return Batch(tuple(designs), measured(designs))


def seen(left, right, error=0.0, **rest):
    """Observations by hand."""
    left, right = np.atleast_1d(np.asarray(left, float)), np.atleast_1d(np.asarray(right, float))
    left, right, error = (np.array(x) for x in np.broadcast_arrays(left, right, error))
    names = tuple(f"observation {i}" for i in range(len(left)))
    return Observations(left, right, error * 1.0, names, len(left), **rest)


def claim(left, right, error=0.0, name="printed", **options):
    """A claim of which the observations are given."""
    return Claim(name, f"{name} in words", Study(lambda: seen(left, right, error)), **options)


TRUE, FALSE = ([1.0, 2.0], [2.0, 3.0]), ([1.0, 4.0], [2.0, 3.0])


def statement(printed, expected="holds", **rest):
    return Statement("made-up", "A title", "a source", "says", "x", printed, expected, **rest)
