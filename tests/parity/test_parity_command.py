"""`design-space parity`: what it prints, writes and returns, without any library."""

import json

import pytest
from fake_library import ABSENT, BROKEN, HERE, failing, row
from markdown_pages import ROOT
from typer.testing import CliRunner

from design_space.cli import app
from design_space.commands.parity import registry, show
from design_space.commands.parity.registry import REGISTRY, chosen


@pytest.fixture
def parity(monkeypatch):
    """Runs the command on the libraries that are given with their rows."""

    def run(libraries, *words):
        monkeypatch.setattr(registry, "REGISTRY", libraries)
        return CliRunner().invoke(app, ["parity", *[str(word) for word in words]])

    return run


def test_sides_that_agree_give_status_0(parity):
    result = parity([(HERE, (row("near", 1e-13),))])
    assert result.exit_code == 0
    assert "near" in result.output
    assert "agrees" in result.output


def test_one_breach_of_a_tolerance_gives_status_1(parity):
    result = parity([(HERE, (row("near", 1e-13), row("far", 1e-11)))])
    assert result.exit_code == 1
    assert "DIFFERS" in result.output
    assert (
        parity([(HERE, (row("near", 1e-13), row("far", 1e-11)))], "--only", "near").exit_code == 0
    )


def test_numbers_that_are_none_are_a_breach(parity):
    result = parity([(HERE, (row("nan", float("nan")),))], "--json")
    assert result.exit_code == 1
    (found,) = json.loads(result.output)["comparisons"]
    assert found["difference"] is None
    assert found["agrees"] is False


@pytest.mark.parametrize(
    ("library", "words"),
    [(ABSENT, "pip install it"), (BROKEN, "libthing.so: cannot open shared object file")],
)
def test_a_library_that_is_not_there_says_so(parity, library, words):
    rows = (row("one", 0.0), row("two", 0.0))
    result = parity([(library, rows)])
    assert result.exit_code == 0
    assert f"{library.name}, 2 rows not compared: " in result.output
    assert words in result.output
    assert parity([(library, rows)], "--strict").exit_code == 1


def test_a_library_whose_functions_changed_is_a_failure(parity):
    changed = row("changed", 0.0)._replace(sides=failing)
    result = parity([(HERE, (changed, row("near", 0.0)))])
    assert result.exit_code == 1
    assert "no_such_function" in result.output
    assert "1 row not compared" in result.output


def test_json_has_every_column_and_the_libraries_that_are_missing(parity):
    libraries = [(HERE, (row("near", 1e-13),)), (ABSENT, (row("other", 0.0),))]
    here, absent = json.loads(parity(libraries, "--json").output)["comparisons"]
    assert here["difference"] == pytest.approx(1e-13, rel=1e-2)
    assert here["version"] is not None
    assert here["agrees"] is True
    assert absent["agrees"] is None
    assert absent["version"] is None
    columns = {"name", "theirs", "ours", "quantity", "tolerance", "note"}
    columns |= {"library", "version", "difference", "agrees", "trouble"}
    assert set(here) == set(absent) == columns


class TestMarkdown:
    PAGE = "# Title\n\n<!-- parity -->\nold\n<!-- /parity -->\n\nafter\n"

    def test_the_table_replaces_what_is_between_the_marks(self, parity, tmp_path):
        page = tmp_path / "page.md"
        page.write_text(self.PAGE, encoding="utf-8")
        found = parity([(HERE, (row("near", 1.2e-13),))], "--markdown", page)
        assert found.exit_code == 0
        text = page.read_text(encoding="utf-8")
        assert text.startswith("# Title\n\n<!-- parity -->\n**numpy ")
        assert text.endswith("|\n<!-- /parity -->\n\nafter\n")
        assert r"| near | `f(x)` | F | 2e-13 | 1e-12 | a \| b |" in text
        assert "old" not in text
        parity([(HERE, (row("near", 1.2e-13),))], "--markdown", page)
        assert page.read_text(encoding="utf-8") == text

    def test_an_empty_place_is_filled(self, parity, tmp_path):
        page = tmp_path / "page.md"
        page.write_text("<!-- parity -->\n<!-- /parity -->\n", encoding="utf-8")
        assert parity([(HERE, (row("near", 0.0),))], "--markdown", page).exit_code == 0
        assert "| near |" in page.read_text(encoding="utf-8")

    @pytest.mark.parametrize("text", ["no marks\n", "<!-- /parity -->\n<!-- parity -->\n"])
    def test_a_page_without_marks_is_refused(self, parity, tmp_path, text):
        page = tmp_path / "page.md"
        page.write_text(text, encoding="utf-8")
        result = parity([(HERE, (row("near", 0.0),))], "--markdown", page)
        assert result.exit_code == 2
        assert "<!-- parity -->" in result.output
        assert page.read_text(encoding="utf-8") == text

    def test_a_table_with_gaps_is_refused(self, parity, tmp_path):
        page = tmp_path / "page.md"
        page.write_text(self.PAGE, encoding="utf-8")
        result = parity([(ABSENT, (row("near", 0.0),))], "--markdown", page)
        assert result.exit_code == 2
        assert "install no-such-library-at-all" in result.output
        assert page.read_text(encoding="utf-8") == self.PAGE


def test_names_choose_rows_and_unknown_ones_are_refused():
    (library, rows), *others = chosen(["k-diffusion-heun*", "k-diffusion-euler"])
    assert not others
    assert library.name == "k-diffusion"
    names = [each.name for each in rows]
    assert "k-diffusion-euler" in names
    assert "k-diffusion-karras" not in names
    assert chosen([]) == [*REGISTRY]
    with pytest.raises(ValueError, match="a row, or a pattern that fits one"):
        chosen(["k-diffusion-heun", "no-such-row"])


def test_the_registry_is_complete():
    names = [each.name for _, rows in REGISTRY for each in rows]
    assert len(set(names)) == len(names)
    assert [library.name for library, _ in REGISTRY] == [
        "k-diffusion",
        "diffusers",
        "azula",
        "smalldiffusion",
    ]
    for library, rows in REGISTRY:
        assert {each.quantity for each in rows} == {"noise levels", "states"}
        for each in rows:
            assert each.name.startswith(f"{library.name}-")
            assert 2e-16 < each.tolerance < 2e-3
            assert each.tolerance < 1e-12 or each.note, "float32 is a known difference"


def test_the_page_has_every_row_and_no_other():
    text = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    block = text.split(show.BEGIN)[1].split(show.END)[0]
    lines = [line.split(" | ") for line in block.splitlines() if line.startswith("| ")]
    written = {line[0].removeprefix("| "): line for line in lines if line[0] != "| row"}
    registered = {each.name: each for _, rows in REGISTRY for each in rows}
    assert list(written) == list(registered)
    for name, each in registered.items():
        assert written[name][1:3] == [f"`{each.theirs}`", each.ours]
        assert written[name][4] == show.rounded_up(each.tolerance)
        assert float(written[name][3]) <= float(written[name][4])
