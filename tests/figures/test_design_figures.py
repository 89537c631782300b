"""The figures about grids and weightings draw from small tables made by hand, without JAX."""

import numpy as np
import pandas as pd
import pytest
from drawings import check_drawing


def optimal_schedules():
    """Four Gaussians and two mixtures; EDM costs twice the optimum, Song three times."""
    ratios = {"marginal-optimal": 1.0, "edm": 2.0, "song": 3.0, "path-optimal": 1.5, "beta": 4.0}
    rows = []
    for k in range(6):
        own = {"target": f"N(0, {k}²)" if k < 4 else f"modes {k}", "gaussian": k < 4}
        for name, ratio in ratios.items():
            rows += [
                own | {"part": "error", "design": name, "steps": n, "marginal_ratio": ratio}
                for n in (5, 10, 20)
            ]
            rows += [
                own
                | {"part": "grid", "design": name, "steps": 3, "level": j, "sigma": 10.0 ** (1 - j)}
                for j in range(4)
            ]
    return pd.DataFrame(rows)


def weighting_times_schedule():
    """The first weighting is the best, the second one ties; the last schedule costs twice."""
    schedules = ("edm", "song", "sqrt-polynomial", "path-optimal")
    rows = []
    for learner in ("per level", "shared", "shared, misfit"):
        for criterion in ("score", "path_kl", "marginal_kl", "bound"):
            for level in ("few", "some", "converged"):
                own = {"learner": learner, "criterion": criterion, "level": level}
                shares = {"weighting": 0.2, "schedule": 0.5, "interaction": 0.3}
                rows += [
                    own | {"part": "share", "factor": factor, "value": value, "error": 0.1}
                    for factor, value in shares.items()
                ]
                for schedule in schedules:
                    last = 2.0 if schedule == schedules[-1] else 1.0
                    cell = own | {"part": "cell", "schedule": schedule}
                    rows += [
                        cell
                        | {"weighting": name, "value": last * (1 + k), "ratio": last * (1 + k)}
                        | {"best": k == 0, "tie": k < 2}
                        for k, name in enumerate(("EDM", "Song", "uniform"))
                    ]
    return pd.DataFrame(rows)


TABLES = {
    "optimal_schedules": (optimal_schedules, 12),
    "weighting_times_schedule": (weighting_times_schedule, 9),
}


@pytest.mark.parametrize("name", TABLES)
def test_figure_draws_every_panel_the_same_way_each_time(name):
    check_drawing(name, *TABLES[name])


def test_densities_are_shares_of_steps_per_decade():
    from figures import optimal_schedules as module

    axes = module.draw(optimal_schedules()).axes[0]
    for line in axes.lines:
        np.testing.assert_allclose(line.get_ydata(), 1 / 3)  # three steps of a decade each
        np.testing.assert_allclose(line.get_xdata(), 10.0 ** np.array([0.5, -0.5, -1.5]))


def test_cells_say_their_ratio_and_who_is_best():
    from figures import weighting_times_schedule as module

    axes = module.draw(weighting_times_schedule()).axes[0]
    shown = [text.get_text() for text in axes.texts]
    assert shown.count("few: 1") == 1
    assert shown.count("6.0") == 3  # the third weighting on the last schedule, at three levels
    widths = [patch.get_linewidth() for patch in axes.patches if not patch.get_fill()]
    assert widths.count(max(widths)) == widths.count(min(widths)) == 12
