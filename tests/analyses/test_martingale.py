"""The score along the reverse process against closed forms and Bayes' rule."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from analyses import martingale

MODES = {"name": "modes", "weights": [0.3, 0.7], "means": [-1.0, 0.5], "stds": [0.3, 0.2]}
POINT_LIKE = {"name": "one mode", "weights": [1.0], "means": [0.4], "stds": [0.5]}
SETTINGS = {"steps": 4, "sigma_min": 0.1, "sigma_max": 5.0, "pair": [1.0, 0.4], "seed": 1}
SETTINGS |= {"levels": 5, "drawn": 3, "particles": 20000}


@pytest.fixture(scope="module")
def table():
    return martingale.compute({"data": POINT_LIKE} | SETTINGS)


def part(table, name) -> Any:
    return table[table["part"] == name]


def test_a_reverse_step_is_a_draw_by_bayes_rule():
    """Its law has the density p_u(y) N(x; y, v - u)/p_v(x), here summed on a grid."""
    x, v, u, count = -0.3, 0.64, 0.1, 4000
    target, points = martingale.target_of(MODES), jnp.full((count, 1), x)
    drawn = martingale.reverse_step(target, jax.random.key(3), points, v, jnp.array([u]))
    y = np.linspace(-4, 4, 20001)
    prior = sum(
        w * stats.norm.pdf(y, m, np.sqrt(s**2 + u))
        for w, m, s in zip(MODES["weights"], MODES["means"], MODES["stds"], strict=True)
    )
    below = np.cumsum(prior * stats.norm.pdf(x, y, np.sqrt(v - u)))
    found = stats.kstest(np.asarray(drawn)[:, 0], lambda z: np.interp(z, y, below / below[-1]))
    assert found.pvalue > 0.01
    # The forward process, read as if it were the reverse one, is another law: the test sees it.
    wrong = x + np.sqrt(v - u) * np.random.default_rng(0).standard_normal(count)
    assert stats.kstest(wrong, lambda z: np.interp(z, y, below / below[-1])).pvalue < 1e-6


def test_each_draw_of_a_step_may_have_its_own_level():
    """One Gaussian: X_u given X_v = x is N(m + (c/b)(x - m), c (v - u)/b), b, c = s^2 + v, u."""
    target, x, v = martingale.target_of(POINT_LIKE), 2.0, 4.0
    u = np.repeat([0.2, 3.0], 20000)
    points = jnp.full((len(u), 1), x)
    drawn = np.asarray(
        martingale.reverse_step(target, jax.random.key(0), points, v, jnp.asarray(u))
    )[:, 0]
    for level in (0.2, 3.0):
        b, c = 0.25 + v, 0.25 + level
        own, spread = drawn[u == level], np.sqrt(c * (v - level) / b)
        # Four standard errors of the mean and of the standard deviation of 20000 normal draws.
        assert own.mean() == pytest.approx(0.4 + c / b * (x - 0.4), abs=4 * spread / 20000**0.5)
        assert own.std() == pytest.approx(spread, rel=4 / 40000**0.5)


def test_information_and_steps_on_one_gaussian(table):
    """I(v) = 1/(s^2 + v), and a step adds (r - 1 - ln r)/2 to E_D, r = (s^2 + u)/(s^2 + v)."""
    information = part(table, "information")
    scale = 0.25 + information["sigma"] ** 2
    np.testing.assert_allclose(information["exact"], 1 / scale, rtol=1e-9)
    assert (np.abs(information["value"] - 1 / scale) < 1.5 * information["half_width"]).all()
    # The variance of L^2 is twice its squared mean, and the interval 2.576 standard errors wide.
    width = 2.576 * np.sqrt(2 / 20000) / scale
    np.testing.assert_allclose(information["half_width"], width, rtol=0.1)
    steps = part(table, "step")
    ratio = (0.25 + steps["sigma_after"] ** 2) / (0.25 + steps["sigma"] ** 2)
    exact = 0.5 * (ratio - 1 - np.log(ratio))
    np.testing.assert_allclose(steps["exact"], exact, rtol=1e-9)
    assert (np.abs(steps["value"] - exact) < 1.5 * steps["half_width"]).all()


def test_increments_are_orthogonal_and_down_the_mean_does_not_change(table):
    pairs = part(table, "correlation")
    assert len(pairs) == 5 * 4 / 2  # the start and four increments
    assert np.max(np.abs(pairs["value"]) / pairs["half_width"]) < 1.5
    np.testing.assert_allclose(pairs["half_width"], 2.576 / 20000**0.5, rtol=0.1)
    means = part(table, "conditional")
    down = means[means["direction"] == "reverse"]
    assert np.max(np.abs(down["change"]) / down["half_width"]) < 1.5


def test_back_up_the_score_falls_towards_zero(table):
    """E[L_v | X_u] = (s^2 + u)/(s^2 + v) L_u for one Gaussian: not a martingale that way."""
    means = part(table, "conditional")
    up = means[means["direction"] == "forward"]
    expected = ((0.25 + 0.16) / (0.25 + 1.0) - 1) * up["present"]
    assert (np.abs(up["change"] - expected) < 1.5 * up["half_width"]).all()
    assert np.count_nonzero(np.abs(up["change"]) > up["half_width"]) > 20


def test_correlations_see_what_is_correlated():
    normal = np.random.default_rng(0).standard_normal((3, 50000))
    increments = np.stack([normal[0], 2 * (0.6 * normal[0] + 0.8 * normal[1]), normal[2]])
    found = martingale.correlations(increments, np.array([1.0, 2.0, 1.0]))
    values: Any = found.set_index(["first", "second"])["value"]
    assert values[(0, 1)] == pytest.approx(0.6, abs=0.02)  # three standard errors are 0.016
    assert abs(values[(0, 2)]) < 0.02


def test_paths_and_finding(table):
    paths = part(table, "path")
    assert paths.groupby("path").size().tolist() == [5, 5, 5]
    assert (paths.groupby("path")["end"].nunique() == 1).all()
    text = martingale.finding(table)
    assert "one mode: the 99 % interval leaves out I(v) at" in text
    assert f"by quadrature {part(table, 'step')['exact'].sum():.4f}" in text


def test_pieces_are_the_laws():
    for preset, count in (("quick", 1), ("full", 2)):
        made = martingale.pieces(martingale.EXPERIMENT.presets[preset])
        assert len({p["data"]["name"] for p in made}) == len(made) == count
