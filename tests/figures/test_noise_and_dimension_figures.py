"""The figures of dimension and stochasticity draw from small tables made by hand, without JAX."""

import numpy as np
import pandas as pd
import pytest
from drawings import check_drawing

MOST = 2**0.5 - 1


def dimension():
    """The bound is five times the paper's path KL, which is d; ancestral sampling costs 2."""
    rows = []
    for law in ("isotropic", "decaying", "image-like", "subspace", "clustered"):
        for dim in (3, 48, 3072):
            own = {"design": "edm", "law": law, "dim": dim}
            for sampler, path in (("paper", 1.0 * dim), ("ancestral", 2.0)):
                errors = {"path_kl": path, "w2": dim**0.5, "directions": path / 2, "unit": 2.0}
                bound = {"theorem-2-corrected": 5.0 * dim} if sampler == "paper" else {}
                rows.append(own | {"part": "budget", "sampler": sampler} | errors | bound)
                steps = {"part": "steps", "sampler": sampler, "goal": "path_kl", "needed": path}
                rows.append(own | steps)
    return pd.DataFrame(rows)


def stochasticity():
    """Without churn an error costs a hundred times what full churn leaves of it."""
    rows, noise = [], np.array([0.0, 0.2, MOST])
    gaussian = {"law": "decaying, d = 16", "where": "everywhere"}
    for evaluations in (36, 100):
        for kind in ("none", "early shift", "early, too flat", "too flat", "late, too flat"):
            own = gaussian | {"evaluations": evaluations, "error": kind}
            for x in noise:
                kl = np.exp(-10 * x) if kind != "none" else 0.001 + x / evaluations
                scan = {"part": "scan", "sampler": "churn", "size": 0.1, "noise": x}
                rows.append(own | scan | {"marginal_kl": kl})
            for sampler in ("churn", "ancestral"):
                for size in (0.01, 0.1) if kind != "none" else (0.0,):
                    found = {"part": "optimum", "sampler": sampler, "criterion": "marginal_kl"}
                    rows.append(own | found | {"size": size, "best": 4 * size, "least": 0.01})
        line = {"law": "N(0, 0.5²)", "where": "everywhere", "sampler": "churn"}
        for factor in (0.98, 1.0, 1.02):
            found = {"part": "s_noise", "noise": 0.2, "factor": factor, "best": factor - 0.01}
            rows.append(line | found | {"evaluations": evaluations})
    modes = {"law": "two modes", "where": "everywhere", "part": "modes"}
    for kind in ("none", "early shift"):
        rows += [modes | {"error": kind, "noise": x, "marginal_kl": 0.1 + x} for x in noise]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("make", [dimension, stochasticity])
def test_figure_draws_every_panel_the_same_way_each_time(make):
    figure = check_drawing(make.__name__, make, 6)
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)


def test_looseness_is_the_bound_over_the_path():
    from figures import dimension as module

    axes = module.draw(dimension()).axes
    laws = [line for line in axes[3].lines if len(line.get_xdata()) == 3]
    assert len(laws) == 5
    assert all(np.all(line.get_ydata() == 5) for line in laws)


def test_every_curve_of_churn_is_there():
    from figures import stochasticity as module

    axes = module.draw(stochasticity()).axes
    assert [text.get_text() for text in axes[0].texts] == ["36", "100"]
    for line in axes[1].lines[1:]:
        np.testing.assert_allclose(line.get_ydata(), np.exp([0, -2, -10 * MOST]))
    assert len(axes[1].texts) == 5
