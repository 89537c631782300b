"""Every figure draws from a small table made by hand, the same bytes each time, without JAX."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import figures
from figures.style import render

FIGURES = ("schedule_comparison", "error_budget", "bell_weighting", "rho_scan")


def schedule_comparison():
    rows = [
        {
            "part": "grid",
            "target": target,
            "std": std,
            "design": design,
            "steps": steps,
            "discretization": 3 / steps,
            "marginal_kl": 2 / steps**2,
        }
        for target, std in (("N(0, 0.5²)", 0.5), ("two modes", np.nan))
        for design in ("edm", "song", "linear-exponential", "sqrt-polynomial", "path-optimal")
        for steps in (10, 100)
    ]
    rows += [
        {
            "part": "scale",
            "design": design,
            "steps": 10,
            "std": std,
            "discretization": 1 + k * std,
            "marginal_kl": 2 + k * std,
        }
        for k, design in enumerate(("edm", "song"))
        for std in (0.01, 0.1, 1.0)
    ]
    rows.append({"part": "crossover", "criterion": "marginal_kl", "steps": 10, "std": 0.3})
    return pd.DataFrame(rows)


def error_budget():
    common = {"target": "N(0, 0.5²)", "steps": 2, "factor": 1.3}
    rows = []
    for schedule in ("edm", "song"):
        for step, (high, low) in enumerate(((10.0, 1.0), (1.0, 0.1))):
            curve = {"part": "curve", "step": step, "information": 1.0, "frozen": 0.5}
            rows += [curve | {"sigma": sigma, "schedule": schedule} for sigma in (high, low)]
            rows.append(
                {
                    "part": "step",
                    "step": step,
                    "sigma": high,
                    "sigma_after": low,
                    "discretization": 0.3,
                    "score": 0.1,
                    "schedule": schedule,
                }
            )
        rows.append({"part": "budget", "discretization": 0.6, "schedule": schedule})
    return pd.DataFrame(rows).assign(**common)


def bell_weighting():
    sigma = np.array([0.01, 0.1, 1.0, 10.0])
    parts = []
    for reading, top in (("at a level", 0.1), ("per unit of ln sigma", 1.0)):
        curve = {"part": "bell", "reading": reading, "sigma": sigma, "relative": sigma / 10}
        peak = {
            "part": ["peak"],
            "reading": reading,
            "sigma": top,
            "half_low": 0.05,
            "half_high": 1,
        }
        parts += [pd.DataFrame(curve), pd.DataFrame(peak)]
    for name in ("edm", "song"):
        grid = {"part": "schedule", "schedule": name, "steps": 3, "level": range(4), "sigma": sigma}
        parts.append(pd.DataFrame(grid))
        for weighting in ("edm", "edm pointwise", "song", "uniform", "min-snr", "p2"):
            total = {
                "part": "weighting",
                "schedule": name,
                "steps": 3,
                "weighting": weighting,
                "sigma": sigma[1:],
                "relative": sigma[1:] / 10,
            }
            parts.append(pd.DataFrame(total))
    return pd.concat(parts, ignore_index=True)


def rho_scan():
    rho = np.array([1.0, 3.0, 10.0])
    criteria = ("discretization", "marginal_kl", "theorem-2-corrected")
    parts = []
    for target, std, count in (("N(0, 0.5²)", 0.5, 3), ("two modes", np.nan, 2)):
        for steps in (10, 20):
            common = {"target": target, "std": std, "steps": steps}
            values = dict.fromkeys(criteria[:count], 1 + (rho - 3) ** 2)
            parts.append(pd.DataFrame({"part": "scan", "rho": rho} | values | common))
            if count == 3:
                best = {
                    "part": "optimum",
                    "criterion": criteria,
                    "rho": 3.0,
                    "value": 1.0,
                    "interior": True,
                }
                parts.append(pd.DataFrame(best | common))
    return pd.concat(parts, ignore_index=True)


TABLES = {f.__name__: f for f in (schedule_comparison, error_budget, bell_weighting, rho_scan)}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_every_panel_with_labels(name):
    module = importlib.import_module(f"figures.{name}")
    figure = module.draw(TABLES[name]())
    axes = list(figure.axes)
    assert len(axes) >= 3
    assert all(ax.lines or ax.patches or ax.collections for ax in axes)
    assert any(ax.get_xlabel() for ax in axes)
    assert any(ax.get_ylabel() for ax in axes)
    assert len(module.CAPTION) > 100
    png = render(figure, "png", 60)
    assert png.startswith(b"\x89PNG")
    assert len(png) > 5000


def test_bytes_depend_on_the_table_only():
    module = importlib.import_module("figures.error_budget")
    for kind in ("svg", "pdf", "png"):
        first, second = (render(module.draw(error_budget()), kind, 60) for _ in range(2))
        assert first == second, kind


def test_figures_know_neither_jax_nor_the_package():
    names = [path.stem for path in Path(figures.__file__).parent.glob("*.py")]
    assert len(names) > len(FIGURES)
    code = (
        "import sys, importlib\n"
        f"for name in {names!r}: importlib.import_module('figures.' + name)\n"
        "found = {m.split('.')[0] for m in sys.modules} & {'jax', 'jaxlib', 'design_space'}\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
