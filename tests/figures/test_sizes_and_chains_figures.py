"""The figures of the full error draw from small tables made by hand, without JAX."""

import numpy as np
import pandas as pd
import pytest
from drawings import check_drawing

from figures import full_error, sample_size

_QUANTITIES = ("bound", "printed", "by_steps", "path_kl", "score", "discretization", "marginal_kl")
_TERMS = ("marginal exact", "excess", "train", "generalization", "estimation", "coefficient bound")


def chains():
    rows = []
    for data, steps, first in (("gaussian", 20, 0), ("gaussian", 300, 0), ("network", 10, 1)):
        own = {"data": data, "steps": steps}
        for k, design in enumerate(("edm", "song")):
            for i, name in enumerate((*_QUANTITIES, *_TERMS)):
                for at in (first, 3, 10, 100, 1000, 10**5, 10**6):
                    if data == "network" and name == "marginal_kl" and at != 10:
                        continue
                    value = (1 + k) * 10.0**-i
                    row = own | {"part": "mean", "design": design, "quantity": name}
                    ends = {"value": value, "low": -value, "high": 2 * value}
                    rows.append(row | {"iteration": at} | ends)
        for name in ("bound", "printed", "path_kl", "marginal_kl"):
            for at in (first, 10, 1000):
                row = own | {"part": "pair", "quantity": name, "iteration": at}
                rows.append(row | {"value": 1.2, "low": 0.9, "high": 1.6})
    return pd.DataFrame(rows)


def sizes():
    rows = []
    parts = ("optimization", "statistics", "approximation", "sampling")
    for k in (10.0, 300.0, 1e300):
        for n in (4, 8, 16):
            for steps in (5, 10, 20):
                own = {"plane": "levels", "design": "edm", "iteration": k, "points": n}
                own |= {"steps": steps}
                cell = {"part": "cell", "dominant": parts[(n + steps) % 4], "share": 0.6}
                rows.append(own | cell | {"sure": n > 4})
                for name in ("E_S", "sampling"):
                    ends = {"value": 1.0 / n, "low": -0.1, "high": 2.0 / n}
                    rows.append(own | {"part": "value", "quantity": name} | ends)
            for width in (8, 16):
                own = {"plane": "width", "design": "edm", "iteration": k, "points": n}
                own |= {"steps": 10, "width": width}
                for name in ("E_S", "sampling", "approximation"):
                    ends = {"value": 1.0 / n, "low": 0.5 / n, "high": 2.0 / n}
                    rows.append(own | {"part": "value", "quantity": name} | ends)
        seed = {"part": "seed", "quantity": "marginal KL", "seed": 0, "value": 0.4, "width": 8}
        rows.append(own | seed)
    return pd.DataFrame(rows)


def costs():
    rows = []
    for series in ("d = 1, N = 20", "d = 64, N = 100"):
        rows += [("batch", series, x, 100.0 * x) for x in (1, 16, 64)]
    rows += [(part, part, x, 50.0 * x) for part in ("devices", "workers") for x in (1, 2)]
    rows += [("size", size, x, 1e-6 * x) for size in "dNnm" for x in (1, 10, 100)]
    table = pd.DataFrame(rows, columns=["part", "series", "x", "value"]).assign(row="point")
    exponents = pd.DataFrame({"part": "size", "series": list("dNnm"), "x": 1, "value": 1.0})
    table = pd.concat([table, exponents.assign(row="exponent")], ignore_index=True)
    return table.assign(low=0.5 * table["value"], high=1.5 * table["value"])


@pytest.mark.parametrize(
    ("name", "make", "panels"),
    [("full_error", chains, 9), ("sample_size", sizes, 6), ("scaling", costs, 4)],
)
def test_figure_draws_every_panel_the_same_way_each_time(name, make, panels):
    figure = check_drawing(name, make, panels)
    drawn = [ax for ax in figure.axes if ax.get_title(loc="left")]
    assert len(drawn) == panels
    assert all(ax.get_xlabel() and ax.has_data() for ax in drawn)


def test_the_largest_number_of_steps_that_is_not_too_large_is_drawn():
    axes = full_error.draw(chains()).axes
    assert "$N$ = 20" in axes[0].get_title(loc="left")
    assert "$N$ = 10" in axes[3].get_title(loc="left")


def test_unsure_cells_have_a_dot():
    axes = sample_size.draw(sizes()).axes[2]
    (dots,) = axes.get_lines()
    np.testing.assert_array_equal(np.unique(dots.get_ydata()), [0])
    assert len(dots.get_xdata()) == 3
