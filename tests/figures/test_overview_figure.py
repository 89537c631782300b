"""The overview draws from a small table made by hand, without JAX."""

import numpy as np
import pandas as pd
from drawings import check_drawing

from figures import overview as module

STEPS = (5, 20, 200)


def overview():
    """Data and two samplers, three numbers of steps, and a contest that EDM wins for s above 1."""
    x = np.linspace(-2, 2, 41)
    rows = [
        pd.DataFrame({"part": "density", "steps": n, "x": x, "density": np.exp(-x * x) / (1 + n)})
        for n in (0, *STEPS[:2])
    ]
    for n in STEPS:
        row = {"part": "budget", "steps": n, "initialization": 1e-9, "score": 0.05}
        row |= {"path_kl": 0.05 + 10 / n, "marginal_kl": 2 / n, "discretization": 10 / n}
        row |= {"theorem-2": 90 / n, "theorem-2-corrected": 80 / n}
        rows.append(pd.DataFrame([row | {"discretization-scale-aware": 40 / n}]))
    stds = np.array([0.1, 0.5, 2.0, 10.0])
    for n in STEPS:
        for name, power in (("edm", 0.0), ("song", 1.0)):
            errors = {"discretization": stds**power / n, "marginal_kl": stds**power / n**2}
            about = {"part": "contest", "steps": n, "schedule": name, "std": stds}
            rows.append(pd.DataFrame(about | errors))
    return pd.concat(rows, ignore_index=True)


def test_figure_draws_every_panel_the_same_way_each_time():
    check_drawing("overview", overview, 4)


def test_budget_is_stacked_between_marginal_and_bounds():
    axes = module.draw(overview()).axes[1]
    lines = [np.asarray(line.get_ydata(), float) for line in axes.lines]
    path, bound, sharper, marginal = lines
    np.testing.assert_allclose(path, [2.05, 0.55, 0.1])
    np.testing.assert_allclose(bound, [16, 4, 0.4])
    assert np.all(marginal < path)
    assert np.all(path < sharper)


def test_colors_say_who_wins():
    axes = module.draw(overview()).axes[2]
    shade = axes.collections[0].get_array().reshape(3, 4)
    # log2 of s, cut off at a factor of four
    np.testing.assert_allclose(shade, np.tile([-2, -1, 1, 2], (3, 1)))
