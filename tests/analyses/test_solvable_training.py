"""Training in closed form: the law of one coefficient, NumPy loops, Remark 1."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from analyses import solvable_runs, solvable_training
from figures import solvable_training as figure

pytestmark = pytest.mark.slow  # a table of many designs is computed first

PRESET = solvable_training.EXPERIMENT.presets["quick"]
SETTINGS = PRESET | {
    "population": PRESET["population"]
    | {"levels": 6, "low": 0.05, "high": 5.0, "fine": 801}
    # exact shared features: none has a scale that is nearly another's
    | {"scales": [0.1, 0.5, 2.0], "last": 1e9},
    "empirical": PRESET["empirical"]
    | {"levels": 3, "seeds": 8, "kept": 12, "width": 24}
    # 100 steps: what is checked is the first and the last of them
    | {"simulated": 100},
    "runs": [
        {"model": "random features", "points": 3, "last": 1e12},
        {"model": "random features", "points": 40, "last": 1e12},
        {"model": "per level", "points": 8, "last": 1e5},
    ],
    "dims": [2, 3],
}


@pytest.fixture(scope="module")
def table():
    parts = [solvable_training.compute(piece) for piece in solvable_training.pieces(SETTINGS)]
    return pd.concat(parts, ignore_index=True)


def rows(table, part, **wanted):
    found = table[table["part"] == part]
    for key, value in wanted.items():
        found = found[found[key] == value]
    return found


def grid():
    """EDM's levels of the small settings, and the data's variance."""
    share = np.arange(7) / 6
    return (0.05 ** (1 / 7) * (1 - share) + 5.0 ** (1 / 7) * share) ** 7, 0.25


def totals(name):
    """beta_j of a weighting, by hand."""
    sigma, s2 = grid()
    s = sigma[1:]
    bell = np.exp(-0.5 * ((np.log(s) + 1.2) / 1.2) ** 2) * (s**2 + 0.25) / (s * 0.25)
    return {
        "EDM": bell * np.diff(sigma),
        "uniform": np.ones(6),
        "equal rates": 1 / (s**2 * (s2 + s**2)),
    }[name]


@pytest.mark.parametrize("weighting", solvable_training.WEIGHTINGS)
def test_levels_of_their_own_follow_the_law_by_repeated_steps(table, weighting):
    """a_j <- a_j - h beta_j v_j ((s^2 + v_j) a_j + 1), by a loop over the steps."""
    sigma, s2 = grid()
    v = sigma[1:] ** 2
    beta = totals(weighting)
    h = 1 / np.max(beta * v * (s2 + v))
    a, errors = np.zeros(6), {0: 1.0 + 0 * v}
    for step in range(1, 30):
        a = a - h * beta * v * ((s2 + v) * a + 1)
        errors[step] = ((s2 + v) * a + 1) ** 2
    found = rows(table, "arrival", model="per level", weighting=weighting)
    for j, value in enumerate(found["value"]):
        if value < 29:
            # Between two steps the closed form goes on; the loop must bracket it.
            assert errors[int(np.ceil(value - 1e-3))][j] <= 0.0101
            assert value < 1.01 or errors[int(np.floor(value + 1e-3)) - 1][j] > 0.01
    assert found["deviation"].max() < 1e-13
    # Interpolation of a curve that is straight: on a grid of 801 steps over 9 decades.
    np.testing.assert_allclose(found["value"], found["law"], rtol=1e-9)


def test_arrivals_at_small_rates_are_logarithms(table):
    sigma, s2 = grid()
    v = sigma[1:] ** 2
    for weighting in ("EDM", "uniform"):
        rates = totals(weighting) * v * (s2 + v)
        rates /= rates.max()
        found = rows(table, "arrival", model="per level", weighting=weighting)["value"].to_numpy()
        slow = rates < 1e-2
        expected = np.log(0.01) / (2 * np.log1p(-rates[slow]))
        assert slow.sum() >= 3
        # The curve bends between two points of the grid, a factor of 1.026 apart.
        np.testing.assert_allclose(found[slow], expected, rtol=1e-3)


def test_budget_and_loss_are_sums_over_the_levels(table):
    """E_S by h_j, the loss by beta_j v_j/2 and the floor by mmse = d s^2 v/(s^2 + v)."""
    sigma, s2 = grid()
    v, low = sigma[1:] ** 2, sigma[:-1] ** 2
    for model in solvable_training.MODELS:
        for weighting in ("EDM", "uniform"):
            error = rows(table, "error", model=model, weighting=weighting)
            wide = error.pivot_table(index="step", columns="sigma", values="value").to_numpy()
            errors = wide * 2 / (s2 + v)[None, :]
            budget = rows(table, "budget", model=model, weighting=weighting)
            np.testing.assert_allclose(budget["value"], 0.5 * errors @ (v - low), rtol=1e-10)
            beta = totals(weighting)
            floor = 0.5 * np.sum(beta * 2 * s2 / (s2 + v))
            loss = floor + 0.5 * errors @ (beta * v)
            np.testing.assert_allclose(budget["loss"], loss, rtol=1e-10)
            np.testing.assert_allclose(budget["floor"], floor, rtol=1e-12)


def test_shared_features_against_a_loop_in_numpy(table):
    """Gradient descent on the moments: one number per feature, S = sum_l theta_l x/(c_l^2 + v)."""
    sigma, s2 = grid()
    v, beta = sigma[1:] ** 2, totals("EDM")
    gates = 1 / (np.array([0.1, 0.5, 2.0])[:, None] ** 2 + v[None, :])
    weight = beta * v * (s2 + v)
    hessian = (gates * weight) @ gates.T
    h = 1 / np.linalg.eigvalsh(hessian)[-1]
    theta, found = np.zeros(3), {}
    for step in range(1, 2001):
        slope = theta @ gates
        theta = theta - h * gates @ (weight * (slope + 1 / (s2 + v)))
        found[step] = ((s2 + v) * (theta @ gates) + 1) ** 2
    arrived = rows(table, "arrival", model="shared", weighting="EDM")["value"].to_numpy()
    for j, value in enumerate(arrived):
        last = max((k for k, e in found.items() if e[j] > 0.01), default=0)
        # The closed form is read at steps in between, on a grid a factor of 1.026 apart; errors
        # that pass zero on the way are not monotone, so the last crossing counts.
        assert abs(value - last) <= 1.5 + 0.05 * last, j
    condition = rows(table, "condition", model="shared", weighting="EDM")["value"].iloc[0]
    values = np.linalg.eigvalsh(hessian)
    assert condition == pytest.approx(values[-1] / values[0], rel=1e-6)


def test_simulation_agrees_with_the_closed_form(table):
    agreed = rows(table, "agreement")
    assert len(agreed) == 12
    assert agreed["value"].max() < 1e-10


def test_training_losses_by_a_loop_in_numpy(table):
    """The per-level affine model on one seed: residuals and gradients by hand."""
    piece = solvable_training.pieces(SETTINGS)[-2]
    _, data = solvable_runs.runs_of(piece)
    ends = []
    for seed in range(8):
        x, xi = np.asarray(data.points)[seed], np.asarray(data.noise)[seed]
        sigma, beta = np.asarray(data.sigmas)[seed], np.asarray(data.beta)[seed]
        noisy = x[:, None, 0] + sigma * xi[:, :, 0]
        a, b, n = np.zeros(3), np.zeros(3), len(x)
        scale = beta * sigma**2 / n
        blocks = [np.column_stack([y, np.ones(n)]) for y in noisy.T]
        h = 1 / max(
            np.linalg.norm(np.sqrt(s) * m, 2) ** 2 for s, m in zip(scale, blocks, strict=True)
        )
        for _ in range(100):
            r = sigma * (a * noisy + b) + xi[:, :, 0]
            a, b = (
                a - h * np.sum(beta * sigma * r * noisy, axis=0) / n,
                b - h * np.sum(beta * sigma * r, axis=0) / n,
            )
        r = sigma * (a * noisy + b) + xi[:, :, 0]
        ends.append(0.5 * np.sum(beta * r**2) / n)
    own = rows(table, "curve", model="per level", series="simulated")
    floor = float(jnp.sum(floor_of(piece)))
    expected = np.median(ends) / floor
    assert own["value"].iloc[-1] == pytest.approx(expected, rel=1e-10)


def floor_of(piece):
    """-C_bar of the two modes, from E(x | y) = (s^2 y + v m tanh(m y/(s^2 + v)))/(s^2 + v)."""
    share = np.arange(piece["levels"] + 1) / piece["levels"]
    low, high = piece["low"] ** (1 / 7), piece["high"] ** (1 / 7)
    sigma = (low * (1 - share) + high * share) ** 7
    s, terms = sigma[1:], []
    for v in s**2:
        y = np.linspace(-1 - 12 * np.sqrt(0.09 + v), 1 + 12 * np.sqrt(0.09 + v), 20_001)
        density = sum(np.exp(-0.5 * (y - m) ** 2 / (0.09 + v)) for m in (-1, 1))
        density /= density.sum()
        mean = (0.09 * y + v * np.tanh(y / (0.09 + v))) / (0.09 + v)
        terms.append((1.09 - np.sum(density * mean**2)) / v)
    bell = np.exp(-0.5 * ((np.log(s) + 1.2) / 1.2) ** 2) * (s**2 + 0.25) / (s * 0.25)
    return 0.5 * bell * np.diff(sigma) * np.array(terms)


def test_remark_1(table):
    """Few data are interpolated, many are not; no population loss is below the floor."""
    few, many = (rows(table, "curve", model="random features", points=n) for n in (3, 40))
    ends = [
        p.set_index("step")["value"].groupby(p["series"].to_numpy()).last() for p in (few, many)
    ]
    assert ends[0]["training"] < 0.1
    assert ends[1]["training"] > 0.5
    assert (rows(table, "least population")["value"] > 1).all()
    assert rows(table, "crossing", points=3)["seeds"].iloc[0] == 8
    affine = rows(table, "curve", model="per level", series="population")["low"].min()
    assert affine > 1
    assert (
        rows(table, "least population", model="per level")["value"].iloc[0]
        > rows(table, "affine floor")["value"].iloc[0]
    )


def test_a_scalar_is_faster_by_the_dimension(table):
    found = rows(table, "scalar")
    np.testing.assert_allclose(found["value"], [2, 3], rtol=1e-12)
    np.testing.assert_allclose(found["matrix"], 25 * 25.25, rtol=1e-12)  # v (s^2 + v) at v = 25


def test_first_step_below_one():
    steps = np.array([1.0, 10.0, 100.0])
    ratios = np.array([[4.0, 2.0, 0.5], [0.5, 2.0, 0.0], [3.0, 2.0, 1.5]])
    found = solvable_runs.first_below(steps, ratios)
    assert found[0] == pytest.approx(10**1.5, rel=1e-12)
    assert found[1] == 1
    assert np.isinf(found[2])


def test_arrivals_of_a_known_decay():
    steps = np.geomspace(1, 1e6, 601)
    errors = np.stack([np.exp(-steps / 100), np.ones(601), np.full(601, 1e-3)], axis=1)
    found = solvable_training.arrivals(steps, errors)
    assert found[0] == pytest.approx(100 * np.log(100), rel=1e-3)
    assert np.isnan(found[1])
    assert found[2] == 1


def test_finding_and_figure_read_the_table(table):
    text = solvable_training.finding(table)
    assert "3 (d = 3)" in text
    assert "equal rates: 1 at sigma = 5" in text
    assert text.count("Random features, n = ") == 2
    axes = figure.draw(table).axes
    assert len(axes) == 8
    assert all(ax.lines or ax.collections for ax in axes[:7])
    assert len(figure.CAPTION) > 100
