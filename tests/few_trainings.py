"""The ensemble of training designs with few shapes and seeds, for tests that judge statements."""

import contextlib

import pytest

from analyses import training_designs as td
from analyses.statements import (
    convergence,
    equal_residuals,
    gradient_bounds,
    gradient_near,
    semi_smoothness,
)

_CACHES = (
    td._ensemble,
    convergence.rates,
    equal_residuals._equal_runs,
    gradient_bounds._off,
    gradient_bounds._wide,
    gradient_bounds._worst,
    gradient_near._shifted,
    semi_smoothness._ensemble,
    semi_smoothness._near,
    semi_smoothness._reference,
)


def _forget():
    for cache in _CACHES:
        cache.cache_clear()


@contextlib.contextmanager
def few_trainings():
    """Two sizes on each axis, at small networks, with 16 seeds."""
    axes = {"points": (2, 4), "levels": (2, 4), "dim": (2, 4), "width": (64, 128)}
    usual = {"points": 2, "levels": 2, "dim": 4, "width": 64, "depth": 1}
    shapes = {tuple((usual | {x: s}).items()): None for x in axes for s in axes[x]}
    shapes |= {tuple((usual | {"points": 1, "levels": 1, "width": 256}).items()): None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(td, "AXES", axes)
        patch.setattr(td, "_USUAL", usual)
        patch.setattr(td, "SHAPES", tuple(shapes))
        patch.setattr(td, "SEEDS", 16)
        patch.setattr(gradient_bounds, "WIDE", {"width": (128, 256), "dim": (4, 16)})
        _forget()
        yield
    _forget()
