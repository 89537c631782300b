"""The figure of a law with two modes under noise draws from a small table made by hand."""

import numpy as np
import pandas as pd
import pytest
from drawings import check_drawing

from figures import noise_and_score as module

SIGMAS = (0.1, 0.5, 1.0, 2.0)


def noise_and_score():
    """Score -x, information 1/(1 + v), entropy slope as it is, bound ten times the error."""
    x = np.linspace(-3, 3, 7)
    curves = [
        {"sigma": s, "x": x, "density": np.exp(-s * x * x), "score": -x, "denoiser": x / (1 + s)}
        for s in SIGMAS
    ]
    sigma = np.geomspace(0.02, 80, 15)
    levels = {"sigma": sigma, "mmse": sigma**2 / (1 + sigma**2), "information": 1 / (1 + sigma**2)}
    levels |= {"de_bruijn": 1 / (1 + sigma**2), "initialization": sigma**-4, "bound": sigma**-2}
    parts = [pd.DataFrame(curve).assign(part="curve") for curve in curves]
    table = pd.concat([*parts, pd.DataFrame(levels).assign(part="level")], ignore_index=True)
    return table.assign(separation=1.0, width=0.2, merging=0.98)


def test_figure_draws_every_panel_the_same_way_each_time():
    figure = check_drawing("noise_and_score", noise_and_score, 6)
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)


def test_panels_show_the_table():
    axes = module.draw(noise_and_score()).axes
    for sigma, line in zip(SIGMAS, axes[1].lines[1:], strict=True):
        np.testing.assert_allclose(line.get_ydata(), -sigma * np.linspace(-3, 3, 7))
    sigma = np.geomspace(0.02, 80, 15)
    for line in axes[4].lines[:2]:  # the information and the slope of the entropy
        own = np.asarray(line.get_xdata())
        np.testing.assert_allclose(line.get_ydata(), own**2 / (1 + own**2))
    assert len(axes[4].lines[0].get_xdata()) == len(sigma)
    assert all(ax.lines[-1].get_xdata() == pytest.approx([0.98, 0.98]) for ax in axes[3:])


def test_of_several_laws_the_first_is_drawn():
    table = noise_and_score()
    other = table.assign(width=0.5, score=-table["score"])
    axes = module.draw(pd.concat([table, other], ignore_index=True)).axes
    assert len(axes[1].lines) == 1 + len(SIGMAS)
    assert axes[1].lines[1].get_ydata()[0] > 0
