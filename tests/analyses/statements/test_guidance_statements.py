"""Guidance: its statements on few cases, and the closed forms behind them in mpmath and NumPy."""

import numpy as np
import pytest
from judging import assert_as_expected, outcomes
from reference.precision import exact, mp

from analyses import guided_laws
from analyses.statements import guidance, guidance_effects


@pytest.fixture
def short(monkeypatch):
    """One problem, few steps."""
    guided_laws.limits.cache_clear()
    guidance._watched.cache_clear()
    monkeypatch.setattr(guidance, "IDENTITY_ON", (guided_laws.OVERLAP,))
    monkeypatch.setattr(guidance, "EXTRA", (1.0,))
    monkeypatch.setattr(guidance, "LONGER", (8, 16, 32, 64))
    yield
    guided_laws.limits.cache_clear()
    guidance._watched.cache_clear()


def test_the_identity_on_one_mixture(short):
    chosen = ("identity", "bound", "long steps")
    found = outcomes(guidance.IDENTITY, only=lambda c: c.name in chosen)
    assert_as_expected(found)
    seen = found["identity"].seen
    # 1/p(c) is 3.33: most of it is taken, so that both sides are far from trivial
    assert 1.2 < seen.left[0] < 1.3
    assert seen.error[0] < 2e-2
    assert abs(seen.left[0] - seen.right[0]) < 5e-3


@pytest.mark.slow
def test_classifiers():
    found = outcomes(guidance_effects.CLASSIFIER)
    assert_as_expected(found)
    assert len(found["same"].seen.left) == 36


def test_formulas_between_gaussians_by_mpmath():
    """Both ends of the formulas: U infinite, where C/(2w - 1) and v_0^{1-w} C^w are known."""
    pair, w = (0.25, 1e12), 2.0
    found = guidance_effects._by_formula(pair, w)
    c, c_0 = exact(0.25) + exact(0.02) ** 2, exact(0.25) + 2500
    noise = c**4 * (2500 / c_0**4 + (c**-3 - c_0**-3) / 3)
    assert found["noise"] == pytest.approx(float(noise), rel=1e-8)
    assert found["flow"] == pytest.approx(float(2500 * (c / c_0) ** 2), rel=1e-8)
    assert found["tilted"] == pytest.approx(float(c / 2), rel=1e-8)
    mean = c**2 * (c**-2 - c_0**-2)  # of 2/C^3, the class at 1
    assert found["noise mean"] == pytest.approx(float(mean), rel=1e-8)
    flow = c * (1 / c - 1 / c_0)
    assert found["flow mean"] == pytest.approx(float(flow), rel=1e-8)
    assert mp.isnormal(noise)


def test_order_between_gaussians():
    found = outcomes(guidance_effects.GAUSSIANS, only=lambda c: c.name != "formulas")
    assert_as_expected(found)
    assert found["order"].margin < 1.02  # nearly one variance: nearly equal laws


def test_particles_of_one_sampler(monkeypatch):
    monkeypatch.setattr(guidance_effects, "PARTICLES", 50_000)
    monkeypatch.setattr(guidance_effects, "_SAMPLERS", {"heun": guidance_effects._SAMPLERS["heun"]})
    found = outcomes(guidance_effects.BY_PARTICLES)
    assert_as_expected(found)
    assert found["cells"].seen.confidence == 0.99
    assert np.sum(found["cells"].seen.right) > 0.9


@pytest.mark.slow
def test_not_tilted_on_two_mixtures(monkeypatch):
    """The ledger judges all of them."""
    monkeypatch.setattr(guidance, "_TILTED", (guided_laws.OVERLAP, guided_laws.WIDE))
    monkeypatch.setattr(guidance, "STRENGTHS", (2.0,))
    found = outcomes(guidance.NOT_TILTED, only=lambda c: c.name in ("away", "flow"))
    assert_as_expected(found)
    assert all(np.min(outcome.seen.right) > guidance.LEAST_KL for outcome in found.values())


@pytest.mark.slow
def test_limits_between_two_gaussians(monkeypatch):
    monkeypatch.setattr(guidance_effects, "PAIRS", (guidance_effects.PAIRS[1],))
    monkeypatch.setattr(guidance_effects, "_WS", (2.0,))
    found = outcomes(guidance_effects.GAUSSIANS, only=lambda c: c.name == "formulas")
    assert_as_expected(found)
    assert np.max(found["formulas"].seen.error) < 1e-4


@pytest.mark.slow
def test_a_wide_class_gets_wider(monkeypatch):
    monkeypatch.setattr(guidance_effects, "LADDER", (1.0, 2.0))
    narrow, wide = (guidance_effects._no_wider((p,)) for p in (guided_laws.APART, guided_laws.WIDE))
    assert np.all(narrow.left + narrow.error < narrow.right)
    assert np.all(wide.left - wide.error > wide.right)
