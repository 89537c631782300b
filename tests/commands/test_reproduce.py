"""The command that makes tables, figures and report, on a tiny experiment with a real figure."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "analyses"))
from tiny_experiment import tiny
from tiny_figure import tiny_figure

from design_space.commands.artifacts import to_csv, to_latex
from design_space.commands.report.page import build
from design_space.commands.reproduce import reproduce, reproduce_one
from design_space.commands.screen import Screen


@pytest.fixture
def made(tmp_path):
    drawn, calls = [], []
    reproduce_one(tiny(calls), tiny_figure(drawn), "quick", tmp_path, Screen(quiet=True))
    assert calls == [0, 1, 2, 3]
    assert drawn == [4] * 1
    return tmp_path


def files(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def test_every_file_is_there(made):
    kinds = {Path(name).suffix for name in files(made / "tiny")}
    assert {".parquet", ".pdf", ".svg", ".png", ".csv", ".tex", ".json"} <= kinds


def test_a_second_run_computes_and_draws_nothing(made):
    before, drawn, calls = files(made / "tiny"), [], []
    reproduce_one(tiny(calls), tiny_figure(drawn), "quick", made, Screen(quiet=True))
    assert calls == drawn == []
    assert files(made / "tiny") == before


def test_a_damaged_figure_is_set_aside_and_drawn_again(made, capsys):
    before, drawn = files(made / "tiny"), []
    picture = made / "tiny" / "tiny.svg"
    picture.write_bytes(b"half a pict")
    reproduce_one(tiny(), tiny_figure(drawn), "quick", made, Screen(quiet=True))
    assert drawn == [4]
    assert picture.read_bytes() == before["tiny.svg"]
    assert (made / "tiny" / "tiny.svg.damaged").read_bytes() == b"half a pict"
    assert re.search(r"warning: .*tiny\.svg is damaged", capsys.readouterr().err)


def test_a_damaged_piece_is_told_and_nothing_else_changes(made, capsys):
    before = files(made / "tiny")
    victim = next((made / "tiny" / "pieces").glob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:20])
    calls = []
    reproduce_one(tiny(calls), tiny_figure([]), "quick", made, Screen(quiet=True))
    assert len(calls) == 1
    assert victim.name in capsys.readouterr().err
    after = files(made / "tiny")
    assert all(after[n] == c for n, c in before.items() if n.endswith((".parquet", ".svg", ".csv")))


def test_the_report_is_one_page_with_everything(made):
    page = build(made, ["tiny"]).read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    assert "data:image/svg+xml;base64," in page
    assert "A line &lt;and&gt; a caption." in page
    assert "The thirds sum to 2.000." in page
    for kind in ("pdf", "svg", "png", "parquet", "tex"):
        link = re.search(rf'href="([^"]*\.{kind})"', page)
        assert link, kind
        assert (made / link[1]).is_file(), link[1]
    assert "float64" in page
    assert "jax" in page


def test_the_report_keeps_sections_of_other_runs(made):
    drawn = []
    reproduce_one(tiny(name="other"), tiny_figure(drawn), "quick", made, Screen(quiet=True))
    page = build(made, ["tiny", "other"]).read_text(encoding="utf-8")
    assert page.index('id="tiny"') < page.index('id="other"')


def test_csv_keeps_every_digit():
    table = pd.DataFrame({"x": [1 / 3, 1e-300], "word": ["a,b", "c"]})
    lines = to_csv(table).decode().splitlines()
    assert lines[0] == "x,word"
    assert float(lines[1].split(",")[0]) == 1 / 3
    assert '"a,b"' in lines[1]
    assert float(lines[2].split(",")[0]) == 1e-300


def test_latex_is_a_table_that_escapes():
    table = pd.DataFrame({"a_b": [1.5e-10, float("nan")], "word": ["50 %", "x_y"]})
    text = to_latex(table, "A caption", "name").decode()
    assert r"\begin{longtable}" in text
    assert r"\toprule" in text
    assert r"$1.5 \cdot 10^{-10}$" in text
    assert r"50 \%" in text
    assert r"x\_y" in text
    assert r"a\_b" in text
    assert "--" in text
    assert r"\label{tab:name}" in text


def test_bad_input_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"out = .*choose another folder"):
        reproduce([], "quick", tmp_path / "file" / "results")
    with pytest.raises(ValueError, match=r"gallery = .*choose another folder"):
        reproduce([], "quick", tmp_path / "fine", gallery=tmp_path / "file" / "g")
    with pytest.raises(ValueError, match=r"analysis = 'nothing'.*error_budget.*rho_scan"):
        reproduce(["nothing"], "quick", tmp_path / "fine")
    with pytest.raises(ValueError, match=r"preset = 'huge'.*full, quick"):
        reproduce([], "huge", tmp_path / "fine")
    assert not list(tmp_path.glob("fine/*/*"))
