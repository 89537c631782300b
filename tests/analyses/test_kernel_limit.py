"""Kernels against automatic differentiation and plain gradient descent, slopes against polyfit."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from analyses import kernel_limit
from design_space.training.ensemble import member
from design_space.training.objective import empirical_loss
from figures import kernel_limit as figure

COMMON = {"seeds": 8, "cells": 2**11} | {
    "points": 2,
    "levels": 2,
    "dim": 2,
    "low": 0.3,
    "high": 2.0,
}
TRAINING = COMMON | {"part": "training", "depth": 1, "share": 0.25, "steps": [0, 1, 6], "width": 32}


@pytest.fixture(scope="module")
def trained():
    return kernel_limit.compute(TRAINING)


def models(depth, count=8):
    """The networks of a piece, in its batches of two."""
    return kernel_limit.networks(0, count, 2, 32, depth)


def of(table, part, series):
    return table[(table["part"] == part) & (table["series"] == series)].iloc[0]


def kappas(cosine):
    angle = np.arccos(np.clip(cosine, -1, 1))
    return 1 - angle / np.pi, (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi


@pytest.mark.parametrize("depth", [0, 1])
def test_deviation_is_that_of_jacobians(depth):
    piece = COMMON | {"part": "deviation", "depth": depth, "width": 32, "cells": 2**20}
    found = kernel_limit.compute(piece).iloc[0]
    data = kernel_limit.data_of(piece)
    z = np.concatenate([data.noisy, np.broadcast_to(data.sigmas[None, :, None], (2, 2, 1))], -1)
    z = z.reshape(4, 3)
    lengths = np.linalg.norm(z, axis=1)
    cosines = z @ z.T / np.outer(lengths, lengths)
    if depth:
        cosines = kappas(cosines)[1]
    limit = np.outer(lengths, lengths) / 4 * cosines * kappas(cosines)[0]
    squares = []
    for i in range(8):
        model = member(models(depth), i)
        slopes = jax.vmap(
            lambda point, model=model: jax.jacobian(
                lambda w: model.with_weights((w,))(point[:2], point[2])
            )(model.weights()[0])
        )(jnp.asarray(z))
        slopes = np.asarray(slopes).reshape(4, 2, -1)
        off = np.einsum("icw,kew->icke", slopes, slopes) / 32
        off -= np.einsum("ik,ce->icke", limit, np.eye(2))
        squares.append(np.sum(off**2) / (2 * np.sum(limit**2)))
    assert found["value"] == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-6)
    half = 3.4995 * np.std(squares, ddof=1) / np.sqrt(8)  # Student's t with 7 degrees of freedom
    assert found["error"] == pytest.approx(half / (2 * found["value"]), rel=1e-4)


def test_angles_and_limit():
    piece = COMMON | {"part": "angle", "depth": 1, "width": 32, "angles": 3, "sigma": 0.5}
    table = kernel_limit.compute(piece | {"cells": 2**20})
    points, line = table[table["value"].notna()], table[table["value"].isna()]
    # [1, 0, s], [0, 1, s], [-1, 0, s] with s^2 = 1/4
    np.testing.assert_allclose(points["x"], np.arccos([1, 0.2, -0.6]), atol=1e-12)
    cosines = kappas(np.cos(points["x"]))[1]
    np.testing.assert_allclose(points["limit"], cosines * kappas(cosines)[0], rtol=1e-9)
    assert len(line) == 121
    assert (np.abs(points["value"] - points["limit"]) < 2 * points["error"]).all()


def test_losses_are_those_of_plain_steps(trained):
    data = kernel_limit.data_of(TRAINING)
    rate = trained["rate"].iloc[0]
    step = jax.jit(
        lambda model: model.with_weights(
            (
                model.weights()[0]
                - rate
                * jax.grad(lambda w: empirical_loss(model.with_weights((w,)), data))(
                    model.weights()[0]
                ),
            )
        )
    )
    losses, ways, norms = [], [], []
    batches = kernel_limit._batches(TRAINING)
    for batch in batches:
        for i in range(len(batch.weights()[0])):
            start = model = member(batch, i)
            own = [float(empirical_loss(model, data))]
            for _ in range(6):
                model = step(model)
                own.append(float(empirical_loss(model, data)))
            losses.append(own)
            way = np.asarray(model.weights()[0] - start.weights()[0])
            ways.append(np.linalg.norm(way))
            norms.append(np.linalg.norm(way, 2))
    assert len(losses) == 8
    curve = trained[trained["part"] == "curve"].set_index("x")["value"]
    np.testing.assert_allclose(curve[[0, 1, 6]], np.mean(losses, axis=0)[[0, 1, 6]], rtol=1e-9)
    assert of(trained, "way", "distance")["value"] == pytest.approx(np.mean(ways), rel=1e-9)
    operator = of(trained, "way", "operator")["value"]
    assert operator == pytest.approx(np.mean(norms) / np.sqrt(8), rel=1e-6)


def test_gaps_and_spectrum_are_of_the_right_sign(trained):
    curve = trained[trained["part"] == "curve"].set_index("x")
    assert curve.loc[0, "own"] == pytest.approx(curve.loc[0, "value"], rel=1e-12)
    assert (curve["limit"].diff().dropna() < 0).all()
    assert 0 < of(trained, "gap", "freezing")["value"] < of(trained, "gap", "kernel")["value"]
    smallest, largest = (of(trained, "spectrum", name)["value"] for name in ("smallest", "largest"))
    assert smallest < 1 < largest


def test_slopes_are_least_squares_and_errors_add_in_squares():
    widths = np.array([64, 128, 512])
    rows = pd.DataFrame({"width": widths, "value": [1.0, 0.8, 0.3], "error": [0.1, 0.04, 0.03]})
    found, error = kernel_limit.slope(rows)
    assert (found, error) == figure.slope(rows)
    assert found == pytest.approx(np.polyfit(np.log(widths), np.log(rows["value"]), 1)[0])
    shifts = []
    for i in range(3):
        moved = np.log(rows["value"].to_numpy())
        moved[i] += rows["error"][i] / rows["value"][i]
        shifts.append(np.polyfit(np.log(widths), moved, 1)[0] - found)
    assert error == pytest.approx(np.linalg.norm(shifts))


def test_pieces_and_presets():
    for preset in kernel_limit.EXPERIMENT.presets.values():
        pieces = kernel_limit.pieces(preset)
        assert {piece["part"] for piece in pieces} == {"deviation", "angle", "training"}
        depths = {piece["depth"] for piece in pieces if piece["part"] == "deviation"}
        assert depths == {0, 1, 2, 3}


def test_finding_and_figure():
    widths = np.array([64, 128, 256])
    one = {"width": widths, "value": widths**-0.5, "error": 0.01 * widths**-0.5}
    parts = [pd.DataFrame(one | {"part": "deviation", "depth": depth}) for depth in range(4)]
    for part, names in (("gap", ("freezing", "kernel")), ("spectrum", ("largest", "smallest"))):
        parts += [pd.DataFrame(one | {"part": part, "series": name}) for name in names]
    parts += [
        pd.DataFrame(one | {"part": "way", "series": name})
        for name in ("distance", "relative", "operator")
    ]
    angles = {"part": "angle", "width": 64, "depth": 1, "x": [0.0, 1.0, 0.5], "limit": 1.0}
    parts.append(pd.DataFrame(angles | {"value": [1.0, 1.1, np.nan], "error": 0.05}))
    curve = {"part": "curve", "x": [0, 1, 8], "value": 2.0, "own": 2.0, "limit": 2.5, "error": 0.1}
    parts += [pd.DataFrame(curve | {"width": width}) for width in widths]
    table = pd.concat(parts, ignore_index=True)
    text = kernel_limit.finding(table)
    assert "hidden layer -0.500 ± 0.01" in text
    assert "At 1 of 2 angles" in text
    assert "at 0 of 3 recorded steps" in text
    drawn = figure.draw(table)
    assert len(drawn.axes) == 6
    legend = drawn.axes[0].get_legend()
    assert legend is not None
    assert "-0.50" in legend.get_texts()[0].get_text()
    assert len(figure.CAPTION) > 100
