"""Sweeps over guidance: the rows of single designs."""

import pytest
from sweep_designs import given, planned, whole

from design_space.pipeline import evaluate_specification
from design_space.specification import Specification
from design_space.sweeps.groups import put

GUIDED = """
[target]
kind = "mixture"
weights = [0.5, 0.5]
means = [[-1.0], [1.0]]
stds = [0.5, 0.4]
labels = [0, 1]
[schedule]
kind = "edm"
steps = 4
sigma_min = 0.1
sigma_max = 10.0
[guidance]
strength = 2.0
label = 1
"""
QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")


def test_strengths_and_labels():
    axes = "guidance.strength = [1.0, 3.0]\nguidance.label = [0, 1]\n"
    rows = whole(planned(GUIDED, axes)).to_pylist()
    assert len(rows) == 4
    for row in rows:
        sections = given(GUIDED, axes)
        del sections["sweep"]
        for name in ("guidance.strength", "guidance.label"):
            put(sections, name, row[name])
        alone = evaluate_specification(Specification.parse(sections))
        for name in QUANTITIES:
            estimate = getattr(alone, name)
            assert row[name] == pytest.approx(float(estimate.value), rel=1e-11, abs=1e-15), name
            assert row[f"{name}_method"] == estimate.method
    assert [row["score"] > 0 for row in rows] == [False, False, True, True]


def test_a_label_that_is_no_class_is_refused_before_the_first_design():
    with pytest.raises(ValueError, match="below 2"):
        planned(GUIDED, "guidance.label = [0, 2]\n")
