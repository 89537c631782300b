"""The figure of the martingale draws from a small table made by hand, without JAX."""

import numpy as np
import pandas as pd
from drawings import check_drawing

SIGMAS = (5.0, 1.0, 0.2)


def martingale():
    """Two paths, three levels, two steps, three increments; a second law that is not drawn."""
    rows = []
    for path, end in enumerate((-1.0, 1.0)):
        rows += [
            {"part": "path", "path": path, "sigma": s, "score": end / s, "end": end} for s in SIGMAS
        ]
    for s in SIGMAS:
        found = {"value": 1.01 / s, "half_width": 0.02 / s, "exact": 1 / s, "sigma": s}
        rows.append({"part": "information"} | found)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        found = {"first": first, "second": second, "value": 0.001 * second, "half_width": 0.01}
        rows.append({"part": "correlation"} | found)
    for direction, slope in (("reverse", 0.0), ("forward", 1.0)):
        for x in (-1.0, 0.0, 1.0):
            found = {"x": x, "present": -x, "other": (slope - 1) * x, "change": slope * x}
            rows.append({"part": "conditional", "direction": direction, "half_width": 0.1} | found)
    for step in (0, 1):
        ends = {"sigma": SIGMAS[step], "sigma_after": SIGMAS[step + 1], "step": step}
        rows.append({"part": "step", "value": 0.2, "half_width": 0.01, "exact": 0.21} | ends)
    table = pd.DataFrame(rows).assign(target="two modes", pair_high=1.0, pair_low=0.4)
    other = table.assign(target="another", score=100.0, change=100.0)
    return pd.concat([table, other], ignore_index=True)


def test_figure_draws_every_panel_the_same_way_each_time():
    figure = check_drawing("martingale", martingale, 5)
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)


def test_lines_are_those_of_the_first_law():
    from figures import martingale as module

    axes = module.draw(martingale()).axes
    paths = [np.asarray(line.get_ydata(), float) for line in axes[0].lines]
    np.testing.assert_allclose(paths, [[-0.2, -1, -5], [0.2, 1, 5]])
    squares = [line for line in axes[3].lines if line.get_marker() == "s"]
    changes = [np.asarray(line.get_ydata(), float) for line in squares]
    np.testing.assert_allclose(changes, [[-1, 0, 1]])
    np.testing.assert_allclose(axes[4].dataLim.ymax, 0.21)
