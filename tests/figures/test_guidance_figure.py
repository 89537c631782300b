"""The figure of guidance draws from a small table made by hand, without JAX."""

import numpy as np
import pandas as pd
from drawings import check_drawing

STRENGTHS = (0.5, 1.0, 2.0, 4.0)


def guidance():
    """Means grow with the strength, by twice as much without noise."""
    rows = []
    for law in ("apart", "overlapping", "two modes", "wide class"):
        for k, sampler in enumerate(("tilted", "noise", "flow")):
            for w in STRENGTHS:
                own = {"part": "strength", "law": law, "sampler": sampler, "strength": w}
                found = {"mean": 1 + k * (w - 1), "variance": 2 / w, "kl_tilted": 0.01 * k * w}
                rows.append(own | found)
    for variant in ("everywhere", "middle levels", "high levels", "low levels", "rescaled by half"):
        for w in STRENGTHS:
            found = {"kl_class": 0.1 * w, "accuracy": 1 - 0.01 / w, "strength": w}
            rows.append({"part": "variant", "variant": variant} | found)
    x = np.linspace(-2, 2, 9)
    for sampler in ("class", "others", "tilted", "noise", "flow"):
        rows += [
            {"part": "density", "x": t, "density": np.exp(-t * t), "sampler": sampler} for t in x
        ]
    for w in (1.0, 4.0):
        for a in x:
            rows += [
                {"part": "plane", "x": a, "y": b, "density": np.exp(-a * a - b * b), "strength": w}
                for b in x
            ]
    return pd.DataFrame(rows)


def test_figure_draws_every_panel_the_same_way_each_time():
    figure = check_drawing("guidance", guidance, 6)
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)


def test_lines_are_those_of_the_table():
    from figures import guidance as module

    axes = module.draw(guidance()).axes
    means = [line for line in axes[1].lines if len(line.get_xdata()) == len(STRENGTHS)]
    assert [line.get_ydata()[-1] for line in means] == [1, 4, 7]
    ratios = [line for line in axes[2].lines if len(line.get_xdata()) == len(STRENGTHS)]
    assert len(ratios) == 4
    np.testing.assert_allclose(ratios[0].get_ydata(), [2, 1, 0.5, 0.25])
    above = [line for line in axes[4].lines if len(line.get_xdata()) == 2]
    assert len(above) == 5  # strengths above one
    np.testing.assert_allclose(above[0].get_ydata(), [0.005, 0.0025])
