"""The rows themselves, where their library is installed."""

import warnings

import pytest

from design_space.commands.parity import (
    azula_rows,
    diffusers_flow,
    diffusers_preserving,
    k_diffusion_rows,
    smalldiffusion_rows,
)
from design_space.commands.parity.libraries import loaded
from design_space.commands.parity.problem import scores
from design_space.commands.parity.record import difference
from design_space.commands.parity.registry import REGISTRY

CASES = [pytest.param(library, row, id=row.name) for library, rows in REGISTRY for row in rows]
SAMPLERS = [case for case in CASES if case.values[1].quantity == "states"]
ASKING = (
    azula_rows,
    diffusers_flow,
    diffusers_preserving,
    k_diffusion_rows,
    smalldiffusion_rows,
)
"""The modules whose side of the library asks for the score."""


@pytest.fixture
def measured():
    """Measures a row, or skips with the reason why its library cannot be imported."""

    def measure(library, row):
        modules, trouble = loaded(library)
        if modules is None:
            pytest.skip(f"{library.name}: {trouble}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # theirs, about NumPy
            return difference(row.quantity, row.sides(modules))

    return measure


@pytest.mark.parametrize(("library", "row"), CASES)
def test_row_agrees(library, row, measured):
    assert measured(library, row) <= row.tolerance


@pytest.mark.parametrize(("library", "row"), SAMPLERS)
def test_row_sees_a_score_that_is_off(library, row, measured, monkeypatch):
    """The tolerances are tight: a score off by 1e-4, or 1e-11 in float64, is a breach."""
    off = 1e-4 if row.tolerance > 1e-9 else 1e-11
    for module in ASKING:
        monkeypatch.setattr(module, "scores", lambda y, sigma: (1 + off) * scores(y, sigma))
    assert measured(library, row) > row.tolerance
