"""Rates against differences of the loss, a differential equation, and plain gradient descent."""

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from analyses import rate_exponents
from analyses.training_designs import measured, of_seeds, stacked
from design_space.training.ensemble import member
from design_space.training.objective import empirical_loss, residuals
from figures import rate_exponents as figure

SIZES = {"points": 2, "levels": 2, "dim": 2, "width": 24}
SEEDS = 8


@pytest.fixture(scope="module")
def found():
    return rate_exponents.rates(of_seeds(SEEDS, **SIZES))


@pytest.fixture(scope="module")
def networks():
    return stacked(of_seeds(SEEDS, **SIZES))


def kernel_of(model, data):
    """K and rho_0 from the Jacobian of the weighted residuals in all weights."""
    roots = np.sqrt(np.asarray(data.beta))[None, :, None]

    def rho(weight):
        return (roots * residuals(model.with_weights((weight,)), data)).ravel()

    weight = model.weights()[0]
    slopes = np.asarray(jax.jacobian(rho)(weight)).reshape(8, -1)
    return slopes @ slopes.T / 2, np.asarray(rho(weight))


@pytest.mark.parametrize("index", [0, 3])
def test_rates_are_those_of_the_differential_equation(found, networks, index):
    model, data = (member(tree, index) for tree in networks)
    kernel, start = kernel_of(model, data)
    values = np.linalg.eigvalsh(kernel)
    assert found.late[index] == pytest.approx(2 * values[0], rel=1e-6)
    loss, slope = jax.value_and_grad(lambda w: empirical_loss(model.with_weights((w,)), data))(
        model.weights()[0]
    )
    assert found.early[index] == pytest.approx(float(np.sum(slope**2) / loss), rel=1e-10)

    def tenth(_, rho):
        return rho @ rho - 0.1 * start @ start

    tenth.terminal = True
    flow = solve_ivp(
        lambda _, rho: -kernel @ rho,
        (0, 40 / values[0]),
        start,
        events=tenth,
        method="LSODA",
        rtol=1e-9,
        atol=1e-12,
    )
    average = np.log(10) / flow.t_events[0][0]
    assert found.average[index] == pytest.approx(average, rel=1e-6)
    assert found.per_step[index] == pytest.approx(average / values[-1], rel=1e-6)
    scales = np.asarray(data.beta * data.sigmas**2)
    excess = 4 / (24 * scales.min()) * values[-1] / 2
    assert found.excess[index] == pytest.approx(excess, rel=1e-10)


def test_rates_are_in_order(found):
    assert (found.late <= found.average * (1 + 1e-9)).all()
    assert (found.average <= found.early * (1 + 1e-9)).all()


def test_descent_is_plain_descent(networks):
    limits, _, _ = rate_exponents.ends(of_seeds(SEEDS, **SIZES))
    most = np.full(SEEDS, 40)
    run = measured(rate_exponents.descended, of_seeds(SEEDS, **SIZES), 0.5 * limits, most)
    for index in (0, 5):
        model, data = (member(tree, index) for tree in networks)
        loss = jax.jit(lambda w, m=model, d=data: empirical_loss(m.with_weights((w,)), d))
        slope, weight = jax.jit(jax.grad(loss)), model.weights()[0]
        start = now = float(loss(weight))
        steps = 0
        while now > 0.1 * start and steps < 40:
            weight = weight - 0.5 * limits[index] * slope(weight)
            now, steps = float(loss(weight)), steps + 1
        assert run.steps[index] == steps
        assert run.fall[index] == pytest.approx(np.log(start / now), rel=1e-9)
        assert run.peak[index] == 1
        kernel = kernel_of(model.with_weights((weight,)), data)[0]
        np.testing.assert_allclose(run.kernel[index], kernel, rtol=1e-8, atol=1e-8 * kernel.max())


def test_pieces_hold_points_and_slopes():
    piece = {"part": "m", "seeds": SEEDS, "sizes": SIZES, "values": [16, 24, 48]}
    table = rate_exponents.compute(piece)
    early = table.query("quantity == 'early' and weighting == 'all'")
    points, slope = early.query("row == 'point'"), early.query("row == 'slope'").iloc[0]
    assert list(points["x"]) == [16, 24, 48]
    # the mean of every seed's least-squares slope is the slope of the mean logarithms
    fitted = np.polyfit(np.log(points["x"].astype(float)), np.log(points["value"]), 1)[0]
    assert slope["value"] == pytest.approx(fitted)
    assert slope["low"] < slope["value"] < slope["high"]
    assert slope["printed_low"] == slope["printed_high"] == 1
    weightings = ("bell", "uniform", "song", "equal")
    assert set(table["weighting"]) == {"all", *weightings}
    excess = table.query("quantity == 'excess' and row == 'point'")
    logs = {str(w): np.log(rows["value"].to_numpy()) for w, rows in excess.groupby("weighting")}
    # as many seeds of each weighting
    np.testing.assert_allclose(logs["all"], np.mean([logs[w] for w in weightings], axis=0))


def test_learning_rates_beyond_the_limit_lose_runs():
    sizes = {"sizes": SIZES, "seeds": SEEDS}
    beyond = sizes | {"part": "beyond", "shares": [1000.0], "most": 60}
    table = rate_exponents.compute(beyond)
    lost = table[table["quantity"] == "lost"].iloc[0]
    assert lost["x"] == pytest.approx(1000)
    assert lost["value"] == SEEDS


def hand_made():
    rows = []
    for part in ("m", "n", "N", "d"):
        names = ("early", "average", "late", "per step", "excess")
        kinds = [(name, "all") for name in names] + [("excess", w) for w in ("bell", "equal")]
        for i, (quantity, weighting) in enumerate(kinds):
            own = {"part": part, "quantity": quantity, "weighting": weighting, "seeds": 8}
            for x in (2.0, 4.0, 8.0):
                value = x * 10.0**-i
                point = {"row": "point", "x": x, "value": value}
                rows.append(own | point | {"low": value / 1.2, "high": value * 1.2})
            ends = {"printed_low": -1.0, "printed_high": 0.0}
            rows.append(own | ends | {"row": "slope", "value": 1.0, "low": 0.9, "high": 1.1})
    rate = {"part": "h", "quantity": "per step", "weighting": "all", "seeds": 8}
    rows += [
        rate | {"row": "point", "x": x, "value": x / 10, "low": x / 11, "high": x / 9}
        for x in (0.1, 0.5)
    ]
    rows.append(rate | {"row": "slope", "value": 1.0, "low": 0.99, "high": 1.01})
    over = {"row": "point", "x": 0.1, "value": 0.9, "low": 0.8, "high": 1.0}
    rows.append(rate | over | {"quantity": "over kernel"})
    for quantity, x in (("lost", 2.0), ("lost", 4.0), ("lost, printed", 100.0)):
        count = {"part": "beyond", "row": "count", "quantity": quantity, "x": x, "value": 4.0}
        rows.append(count | {"weighting": "all", "seeds": 8, "low": 60.0})
    return pd.DataFrame(rows)


def test_finding_and_figure():
    text = rate_exponents.finding(hand_made())
    assert "in n 1.00 ± 0.10 (early), 1.00 ± 0.10 (average)" in text
    assert "There 4 of 8 runs do not reach a tenth" in text
    drawn = figure.draw(hand_made())
    assert len(drawn.axes) == 7
    assert all(ax.lines or ax.collections for ax in drawn.axes)
    assert len(figure.CAPTION) > 100


def test_presets_have_every_variable():
    for preset in rate_exponents.EXPERIMENT.presets.values():
        parts = [piece["part"] for piece in rate_exponents.pieces(preset)]
        assert parts == ["m", "n", "N", "d", "h", "beyond"]
        assert preset["seeds"] % 8 == 0  # as many of every weighting and data law
