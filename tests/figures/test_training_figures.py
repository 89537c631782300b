"""The figures of training draw from small tables made by hand, without JAX."""

import importlib

import numpy as np
import pandas as pd
import pytest

from figures.style import render

PANELS = {"training_convergence": 4, "weighting_race": 6}


def band(value):
    return {"value": value, "low": 0.8 * value, "high": 1.3 * value}


def training_convergence():
    rows = []
    for weighting in ("EDM", "uniform", "equal a"):
        for width in (64.0, 512.0, np.inf):
            names = ("limit",) if np.isinf(width) else ("loss", "kernel", "bound")
            own = {"weighting": weighting, "width": width}
            for k, series in enumerate(names):
                curve = own | {"part": "curve", "series": series}
                rows += [curve | {"step": s} | band((1 + k) / (1 + s)) for s in (0, 1, 10, 100)]
            if np.isfinite(width):
                rows.append(own | {"part": "summary", "constant": width / 7})
    return pd.DataFrame(rows)


def weighting_race():
    names = ("EDM", "uniform", "Song", "Min-SNR", "P2")
    names += ("equal f at start", "equal f again and again")
    rows = []
    for track, model in (
        ("interpolation", "relu"),
        ("interpolation", "preconditioned"),
        ("population", "relu"),
        ("population", "preconditioned"),
        ("population", "features"),
    ):
        for k, name in enumerate(names):
            own = {"track": track, "model": model, "weighting": name}
            for metric in ("own", "residual", "score"):
                curve = own | {"part": "curve", "metric": metric}
                rows += [curve | {"step": s} | band((1 + k) / (1 + s)) for s in (0, 1, 10, 100)]
            if track == "interpolation" and k < 6:
                rows.append(own | {"part": "rate", "metric": "own"} | band(1e-3 * (1 + k)))
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", PANELS)
def test_it_draws_every_panel_the_same_way_each_time(name):
    module, table = importlib.import_module(f"figures.{name}"), globals()[name]()
    figure = module.draw(table)
    drawn = [ax for ax in figure.axes if ax.get_title(loc="left")]
    assert len(drawn) == PANELS[name]
    for ax in drawn:
        assert ax.get_xlabel()
        assert ax.has_data()
    assert len(module.CAPTION) > 100
    assert render(figure, "png", 60) == render(module.draw(table), "png", 60)


def test_a_curve_is_drawn_with_its_interval():
    module, table = importlib.import_module("figures.weighting_race"), weighting_race()
    ax = module.draw(table).axes[0]
    shown = [line.get_label() for line in ax.get_lines()]
    assert "EDM's bell" in shown
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_allclose(lines["EDM's bell"].get_ydata(), [1 / 2, 1 / 11, 1 / 101])
    assert len(ax.collections) == len(shown)  # a band for each line


def test_the_largest_constant_is_what_the_table_says():
    module, table = importlib.import_module("figures.training_convergence"), training_convergence()
    ax = module.draw(table).axes[3]
    for line in ax.get_lines():
        np.testing.assert_allclose(line.get_ydata(), line.get_xdata() / 7)
