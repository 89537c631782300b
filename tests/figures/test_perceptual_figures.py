"""The figures of the self-perceptual loss draw from small tables made by hand, without JAX."""

import numpy as np
import pandas as pd
import pytest
from drawings import check_drawing

NUMBERS = ("valley", "imbalance", "w2")


def self_perceptual():
    """The self-perceptual loss halves the mass and doubles the rest; guidance does so again."""
    rows = []
    for world, stds in (("unconditional", (0.1, 0.25)), ("conditional", (0.15,))):
        strengths = (1.0,) if world == "unconditional" else (1.0, 2.0)
        for std in stds:
            for width in (4, 12, 32):
                for method in ("denoising", "self-perceptual", "exact score"):
                    for strength in strengths:
                        own = {"world": world, "std": std, "width": width, "method": method}
                        times = strength * {"self-perceptual": 2, "denoising": 1}.get(method, 0.1)
                        rows += [
                            own
                            | {"part": "mean", "strength": strength, "number": number}
                            | {
                                "middle": value / width,
                                "low": 0.9 * value / width,
                                "high": 1.1 * value / width,
                            }
                            for number, value in zip(
                                NUMBERS, (1 / times, times, times), strict=True
                            )
                        ]
    return pd.DataFrame(rows)


def perceptual_ablation():
    """Every variant halves the mass; guidance halves it again."""
    rows = [
        {"part": "ratio", "variant": variant, "strength": strength, "number": number}
        | {"ratio": ratio / strength, "low": 0.8 * ratio / strength, "high": 1.3 * ratio / strength}
        for variant, ratio in (("denoising", 1.0), ("self-perceptual", 0.5), ("absolute", 0.25))
        for strength in (1.0, 2.0)
        for number in NUMBERS
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("make", "panels"), [(self_perceptual, 6), (perceptual_ablation, 3)])
def test_figure_draws_every_panel_the_same_way_each_time(make, panels):
    figure = check_drawing(make.__name__, make, panels)
    assert all(ax.get_xlabel() for ax in figure.axes)


def test_lines_are_means_by_width():
    from figures import self_perceptual as module

    ax = module.draw(self_perceptual()).axes[0]
    first = next(line for line in ax.lines if line.get_marker() == "s")
    np.testing.assert_allclose(first.get_ydata(), 0.5 / np.array([4, 12, 32]))


def test_rows_are_ratios_to_the_control():
    from figures import perceptual_ablation as module

    ax = module.draw(perceptual_ablation()).axes[0]
    plain, guided = (np.sort(c.lines[0].get_xdata()) for c in ax.containers)
    np.testing.assert_allclose(plain, [0.25, 0.5, 1.0])
    np.testing.assert_allclose(guided, [0.125, 0.25, 0.5])
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "denoising",
        "self-perceptual",
        "absolute",
    ]
