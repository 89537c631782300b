"""The figures about the whole chain draw from small tables made by hand, without JAX."""

import importlib

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from figures.style import render


def phase_diagram():
    """EDM ahead at few steps, Song at many; every third cell a tie."""
    rows = []
    planes = (("training", (0.0, 10.0, 3e4)), ("little trained", (10.0,)), ("well trained", (1e9,)))
    for plane, iterations in planes:
        for std in (0.5,) if plane == "training" else (0.002, 0.5, 20.0):
            for iteration in iterations:
                for k, steps in enumerate((5, 20, 50, 200)):
                    pair = ("edm", "tie", "song")[min(k, 2)]
                    rows += [
                        {
                            "plane": plane,
                            "std": std,
                            "iteration": iteration,
                            "steps": steps,
                            "criterion": criterion,
                            "pair": pair,
                            "ratio": {"edm": 3.0, "tie": 1.0, "song": 0.9}[pair],
                            "ahead": k == 3,
                            "relative_excess": 1 / (1 + iteration),
                            "part": "cell",
                        }
                        for criterion in ("bound", "path_kl", "marginal_kl", "w2")
                    ]
    return pd.DataFrame(rows)


TABLES = {"phase_diagram": (phase_diagram, 12)}


@pytest.mark.parametrize("name", TABLES)
def test_figure_draws_every_panel_with_labels(name):
    make, panels = TABLES[name]
    module = importlib.import_module(f"figures.{name}")
    figure = module.draw(make())
    assert len(figure.axes) >= panels
    assert all(ax.lines or ax.patches or ax.collections or ax.images for ax in figure.axes)
    assert any(ax.get_xlabel() for ax in figure.axes)
    assert any(ax.get_ylabel() for ax in figure.axes)
    assert len(module.CAPTION) > 100
    png = render(figure, "png", 60)
    assert png.startswith(b"\x89PNG")
    assert len(png) > 5000


def test_phase_diagram_colors_say_who_wins():
    from figures import phase_diagram as module

    image = np.asarray(module.draw(phase_diagram()).axes[0].images[0].get_array())
    colors = [module._TONES["edm"][2], module._TIE, module._TONES["song"][0]]
    for column, color in enumerate(colors):
        np.testing.assert_allclose(image[0, column], to_rgb(color))
