"""The figures about the whole chain draw from small tables made by hand, without JAX."""

import numpy as np
import pandas as pd
import pytest
from drawings import check_drawing
from matplotlib.colors import to_rgb


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
def test_figure_draws_every_panel_the_same_way_each_time(name):
    check_drawing(name, *TABLES[name])


def test_phase_diagram_colors_say_who_wins():
    from figures import phase_diagram as module

    image = np.asarray(module.draw(phase_diagram()).axes[0].images[0].get_array())
    colors = [module._TONES["edm"][2], module._TIE, module._TONES["song"][0]]
    for column, color in enumerate(colors):
        np.testing.assert_allclose(image[0, column], to_rgb(color))
