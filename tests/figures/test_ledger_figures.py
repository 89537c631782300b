"""The figures of the ledger draw from small tables made by hand, without JAX."""

import importlib

import numpy as np
import pandas as pd
import pytest

from figures.style import render

FIGURES = {"ledger": 1, "bound_over_exact": 10, "counterexamples": 7, "design_rules": 6}
"""Names, with the number of their panels."""


def ledger():
    verdicts = {
        "equation-3": ("holds", "=", 1.0),
        "theorem-2": ("fails as printed; corrected form holds", "<=", -3.0),
        "lemma-13": ("fails as printed; corrected form holds", "=", 1e-9),
        "table-2": ("order only", "<=", 1.01),
        "tangent-law": ("holds with constant C", "<=", np.inf),
    }
    rows = []
    for name, (verdict, relation, margin) in verdicts.items():
        own = {"statement": name}
        rows.append(own | {"part": "statement", "verdict": verdict, "designs": 1234.0})
        rows.append(own | {"part": "claim", "claim": "p", "relation": relation, "margin": margin})
        ratios = {"theorem-2": (2.0, 1e6), "lemma-13": (1e-9, 1.0), "tangent-law": ()}
        for q, ratio in zip((0.0, 1.0), ratios.get(name, (1.0, 1.0)), strict=False):
            rows.append(own | {"part": "ratio", "claim": "p", "quantile": q, "ratio": ratio})
        if verdict.startswith("fails"):
            second = {"claim": "corrected", "relation": relation, "margin": 1.0}
            rows.append(own | {"part": "claim"} | second)
            for q in (0.0, 1.0):
                ratio = {"claim": "corrected", "quantile": q, "ratio": 1 + q}
                rows.append(own | {"part": "ratio"} | ratio)
    return pd.DataFrame(rows)


def bound_over_exact():
    rows = []
    for target in ("point mass", "N(0, 0.5²)", "N(0, I/4), d = 50", "two modes", "N(0, 20²)"):
        for design in ("edm", "song", "path-optimal"):
            for steps in (5, 100):
                row = {"part": "steps", "target": target, "design": design, "steps": steps}
                row |= {"discretization": 1 / steps, "marginal_kl": 1 / steps**2}
                row |= {"theorem-2-corrected, E_D": 3 / steps, "theorem-2-corrected, total": 1}
                rows.append(row | {"discretization-scale-aware, E_D": 2 / steps})
        for v in (0.1, 10.0):
            start = {"part": "start", "target": target, "variance": v}
            rows.append(start | {"exact": 0.5 / (v + 1), "bound": 0.5 / v})
    return pd.DataFrame(rows)


def counterexamples():
    x = np.geomspace(0.1, 10, 9)
    parts = ("lemma-15", "lemma-13", "lemma-9", "theorem-2, irregular grid", "equation-4")
    columns = {"x": x, "exact": x, "printed": x - 1, "corrected": x, "rate": 2 * x}
    tables = [pd.DataFrame(columns | {"part": part}) for part in parts]
    falling = {"part": "theorem-2, falling", "x": x, "exact": 1.0, "printed": x}
    tables += [pd.DataFrame(falling | {"grid": grid}) for grid in ("one step", "EDM")]
    return pd.concat(tables, ignore_index=True)


def design_rules():
    x = np.geomspace(1.0, 20, 9)
    tables = [
        pd.DataFrame({"part": "summand", "x": x, "surrogate": x, "exact": x**2}),
        pd.DataFrame({"part": "gain", "x": x, "gain": x, "steps": 2}),
        pd.DataFrame({"part": "gain", "gain": x, "steps": range(9), "variance": "t"}),
    ]
    criteria = ("reduced objective", "leading term", "full bound", "discretization", "marginal_kl")
    tables.append(
        pd.DataFrame({"part": "exponent", "x": x} | dict.fromkeys(criteria, 1 + (x - 5) ** 2))
    )
    for reading in ("pointwise", "density"):
        for factor in ("printed", "corrected"):
            name = {"part": "factor", "convention": f"{reading}, {factor}"}
            tables.append(pd.DataFrame(name | {"x": x, "ratio": 1 / x}))
    crossing = {"part": "factor", "convention": "crossover", "x": [9.7], "ratio": 1.0}
    tables.append(pd.DataFrame(crossing))
    for design in ("edm", "song", "path-optimal", "tangent"):
        steps = {"part": "steps", "design": design, "x": x, "scaled": x, "flow": 1 / x**2}
        tables.append(pd.DataFrame(steps | {"limit": 21.0}))
    return pd.concat(tables, ignore_index=True)


TABLES = {f.__name__: f for f in (ledger, bound_over_exact, counterexamples, design_rules)}


def drawn(name):
    return importlib.import_module(f"figures.{name}").draw(TABLES[name]())


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_every_panel_with_labels(name):
    axes = list(drawn(name).axes)
    assert len(axes) == FIGURES[name]
    assert all(ax.lines for ax in axes)
    assert all(ax.get_xlabel() for ax in axes) or name == "bound_over_exact"
    assert len(importlib.import_module(f"figures.{name}").CAPTION) > 100


@pytest.mark.parametrize("name", FIGURES)
def test_bytes_depend_on_the_table_only(name):
    first, second = (render(drawn(name), "svg") for _ in range(2))
    assert first == second


def test_ledger_shows_every_statement_and_verdict():
    figure = drawn("ledger")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.index("The paper's") < texts.index("theorem-2") < texts.index("Others")
    assert texts.index("Others") < texts.index("tangent-law")
    for text in ("≤ 0", "$10^{-9}$", "1.01", "–", "1,234"):
        assert text in texts
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == [
        "holds",
        "holds with constant C",
        "order only",
        "fails as printed; corrected form holds",
        "corrected form",
    ]


def test_ledger_marks_what_lies_beyond_the_axis():
    lines = drawn("ledger").axes[0].lines
    ends = [line for line in lines if line.get_marker() in ("<", ">")]
    # theorem-2 at both ends, lemma-13 and the bar without a ratio at the left one
    assert sorted(str(line.get_marker()) for line in ends) == ["<", "<", "<", ">"]
