"""The figure of the samplers draws from a small table made by hand, without JAX."""

import numpy as np
import pandas as pd
from drawings import check_drawing

SECOND = ("heun", "midpoint", "churn")
OWN = ("frozen", "ancestral", "ode-euler", "heun", "midpoint")
NOISY = ("frozen", "euler-maruyama", "ancestral", "optimal-variance")
SAMPLERS = (*OWN, "euler-maruyama", "optimal-variance", "churn", "predictor-corrector")


def sampler_comparison():
    """Errors 1/E and 20/E^2, equal at E = 20; a sampler's own grid halves them."""
    rows = []
    for law in ("N(0, 0.5²)", "decaying, d = 16", "two modes"):
        for sampler in SAMPLERS:
            for evaluations in (10, 40, 160):
                kl = 20 / evaluations**2 if sampler in SECOND else 1 / evaluations
                kl = 6e-19 if (sampler, law[0]) == ("optimal-variance", "N") else kl
                row = {"part": "error", "law": law, "sampler": sampler, "grid": "edm"}
                row |= {"evaluations": evaluations, "marginal_kl": kl, "w2": kl**0.5}
                rows.append(row | {"path_kl": 10 * kl if sampler in NOISY else np.nan})
                if law.startswith("N") and sampler in OWN:
                    rows.append(row | {"grid": "own", "marginal_kl": kl / 2})
    rows.append({"part": "design", "law": "two modes", "design": "VP, Euler", "evaluations": 3})
    return pd.DataFrame(rows)


def test_every_panel_and_every_sampler():
    figure = check_drawing("sampler_comparison", sampler_comparison, 6)
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)
    for ax, count in zip(figure.axes[:4], (8, 9, 9, 9), strict=True):
        curves = [line for line in ax.lines if len(np.asarray(line.get_xdata())) == 3]
        assert len(curves) == count
    assert len(figure.legends[0].get_texts()) == 9


def test_crossing_gain_and_paths():
    from figures import sampler_comparison as module

    axes = module.draw(sampler_comparison()).axes
    notes = [text.get_text() for text in axes[0].texts]
    assert notes == ["Heun =\nEuler\nat 20", "optimal variance:\n$6\\times 10^{-19}$"]
    assert [text.get_text() for text in axes[1].texts] == notes[:1]
    gains = [np.asarray(line.get_ydata()) for line in axes[4].lines]
    gains = [gain for gain in gains if len(gain) == 3]
    assert len(gains) == len(OWN)
    np.testing.assert_allclose(np.concatenate(gains), 2)
    marginal, path = (np.asarray(axes[5].lines[i].get_ydata()) for i in (0, 1))
    np.testing.assert_allclose(path, 10 * marginal)
