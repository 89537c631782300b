"""The gallery of the plane draws from a small table made by hand, without JAX."""

import numpy as np
import pandas as pd
from drawings import check_drawing

from figures import guidance_free_2d

DESIGNS = ("data", "Heun, N = 18", "scaled score", "a design of my own")
TARGETS = ("four modes", "ring", "a law of my own")


def table():
    axis = np.linspace(-1.9, 1.9, 20)
    x, y = np.meshgrid(axis, axis)
    parts = []
    for target in TARGETS:
        for k, design in enumerate(DESIGNS):
            width = 0.5 * (1 + 0.2 * k)
            density = np.exp(-(x**2 + y**2) / (2 * width**2)) / (2 * np.pi * width**2)
            lines = {"part": "density", "y": axis, "density": list(density.astype(np.float32))}
            count = 1 if target == "ring" else 4 if target == "four modes" else 2
            modes = {"part": "mode", "x": np.arange(count), "y": 0.0, "weight": 1 / count}
            own = [pd.DataFrame(lines), pd.DataFrame(modes)]
            if k:
                errors = {"marginal_kl": 0.01 * k, "total_variation": 0.02 * k}
                own.append(pd.DataFrame([{"part": "design"} | errors]))
            parts.append(pd.concat(own, ignore_index=True).assign(target=target, design=design))
    return pd.concat(parts, ignore_index=True)


def test_it_draws_every_law_beside_its_difference():
    figure = check_drawing("guidance_free_2d", table, len(DESIGNS) * 2 * len(TARGETS))
    assert all(ax.images for ax in figure.axes)
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts.count("25 %") == 4 * len(DESIGNS)
    assert texts.count("50 %") == 2 * len(DESIGNS)
    assert texts.count("KL 0.010") == len(TARGETS)
    assert texts.count("TV 0.060") == len(TARGETS)


def test_differences_have_one_scale_about_zero():
    figure = guidance_free_2d.draw(table())
    shown = np.array(figure.axes).reshape(len(DESIGNS), -1)
    for column in range(1, 2 * len(TARGETS), 2):
        limits = {ax.images[0].get_clim() for ax in shown[1:, column]}
        ((low, high),) = limits
        assert low == -high
