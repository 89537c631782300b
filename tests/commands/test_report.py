"""The report as a page that can be sent: whole, linked, labeled, and asking for nothing."""

import base64
import gzip
import io
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from report_page import Page
from report_results import VERDICTS, make, make_ledger, statements

from design_space.commands.report.badges import BADGES
from design_space.commands.report.downloads import EMBEDDED, data_link
from design_space.commands.report.page import build
from design_space.commands.report.tables import WHOLE, parts_of

ORDER = ["tiny", "ledger", "absent"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    make(out)
    make_ledger(out, parts_of(statements(), ["statement"]))
    return out


@pytest.fixture(scope="module")
def page(results):
    return Page(build(results, ORDER).read_text(encoding="utf-8"))


def content(address):
    """What an address of data holds."""
    return base64.b64decode(address.partition(";base64,")[2])


def test_ids_are_unique_and_every_anchor_has_its_target(page):
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    anchors = [a.attributes["href"] for a in page.all("a") if a.attributes["href"][0] == "#"]
    assert len(anchors) >= 3 + len(VERDICTS)  # to the text, two sections, every statement
    assert {anchor[1:] for anchor in anchors} <= set(ids)
    labels = ("aria-labelledby", "aria-describedby")
    described = {e.attributes[n] for e in page.elements for n in labels if n in e.attributes}
    assert described <= set(ids)


def test_the_contents_name_every_section(page):
    headings = [h.text for h in page.all("h2")]
    links = [a.text for a in page.all("a") if a.attributes["href"] in ("#tiny", "#ledger")]
    assert headings == ["Summary", "1Squares", "2The ledger"]
    assert links == ["Squares", "The ledger"]


def test_nothing_is_asked_for_from_anywhere(page):
    """Only one link leaves, and only when it is followed; the page's own policy says so, too."""
    for element in page.elements:
        for name in ("src", "srcset", "data", "poster", "action", "background", "xlink:href"):
            address = element.attributes.get(name, "data:")
            assert address.startswith("data:"), f"{element.tag} {name}={address[:80]}"
    for link in page.all("link"):
        assert link.attributes["href"].startswith("data:")
    away = {a.attributes["href"] for a in page.all("a") if "//" in a.attributes["href"][:12]}
    assert away == {"https://arxiv.org/abs/2406.12839"}
    code = "".join(e.text for e in page.all("style") + page.all("script"))
    assert not re.search(r"//\w|url\(|@import|fetch\(|XMLHttp|import\(", code)
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none'")


def test_figures_have_alternatives_and_captions_and_are_whole(page, results):
    figures = page.all("img")
    assert len(figures) == len(page.all("figcaption")) == 2
    for image, name, title in zip(
        figures, ("tiny", "ledger"), ("Squares", "The ledger"), strict=True
    ):
        assert title in image.attributes["alt"]
        picture = content(image.attributes["src"])
        assert picture == (results / name / f"{name}.svg").read_bytes()
        # the picture itself refers only to its own parts
        for element in ET.fromstring(picture).iter():
            for key, value in element.attrib.items():
                assert not key.endswith("href") or value.startswith("#")


def test_data_are_one_click_away(page):
    table = pd.DataFrame({"number": range(4), "third": np.arange(4) / 3})
    for link in page.all("a", class_="held"):
        read = pd.read_csv(io.BytesIO(content(link.attributes["href"])))
        pd.testing.assert_frame_equal(read[["number", "third"]], table, check_exact=True)
    names = [a.attributes["download"] for a in page.all("a", class_="held")]
    assert names == ["tiny.csv", "ledger.csv"]


@pytest.mark.parametrize(
    ("raw", "embedded", "file"),
    [
        (b"a\n" + b"1\n" * 1000, True, "x.csv"),
        (b"a\n" + b"1\n" * EMBEDDED, True, "x.csv.gz"),
        (np.random.default_rng(0).bytes(EMBEDDED + 1), False, "x.csv"),
    ],
    ids=["plain", "compressed", "too large"],
)
def test_size_decides_where_data_lie(tmp_path, raw, embedded, file):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "x.csv").write_bytes(raw)
    link = data_link(tmp_path, "x")
    assert (link.embedded, link.file) == (embedded, file)
    if not embedded:
        assert link.href == "x/x.csv"
    else:
        held = content(link.href)
        assert (gzip.decompress(held) if file.endswith("gz") else held) == raw
        assert len(held) <= EMBEDDED


def test_verdicts_are_counted_and_stand_beside_their_statements(page):
    assert set(VERDICTS) == set(BADGES)
    badges = [" ".join(b.text.split()) for b in page.all("span", class_="badge")]
    words = [f"{badge.symbol} {badge.verdict}" for badge in BADGES.values()]
    assert badges[: len(words)] == words  # in the summary, best first
    assert sorted(badges[len(words) :]) == sorted(words)  # one in every row
    assert [b.text for b in page.all("b")[: len(words)]] == ["1"] * len(words)
    rows = [e.attributes["id"] for e in page.all("tr") if "id" in e.attributes]
    assert rows == [f"statement-lemma-{i}" for i in range(1, len(VERDICTS) + 1)]
    heads = [h.text for h in page.all("th")]
    at = heads.index("statement")
    assert heads[at : at + 2] == ["statement", "verdict"]
    assert "On <1> & more" in [c.text for c in page.all("td")]


def test_a_verdict_without_a_look_is_shown_as_words(tmp_path):
    table = statements().replace("fails", "undecided <yet>")
    make_ledger(tmp_path, parts_of(table, ["statement"]))
    found = Page(build(tmp_path, ORDER).read_text(encoding="utf-8"))
    assert "undecided <yet>" in [b.text for b in found.all("span", class_="other")]


def test_columns_of_numbers_are_known_to_the_script(page):
    kinds = {h.text: h.attributes["class"] for h in page.all("th")}
    assert kinds["third"] == kinds["margin"] == "number"
    assert kinds["word"] == kinds["title"] == "text"
    assert kinds["verdict"] == "verdict"
    (script,) = page.all("script")
    assert "aria-sort" in script.text
    assert 'createElement("button")' in script.text
    assert not page.all("button")  # without the script nothing pretends to sort


def test_provenance_says_where_numbers_come_from(page):
    facts = [dt.text for dt in page.all("dt")]
    one = ["code", "computed", "device", "precision", "preset", "seed", "settings", "table"]
    assert facts == [*one, "versions"] * 2
    values = {dt.text: dd.text for dt, dd in zip(page.all("dt"), page.all("dd"), strict=True)}
    assert values["settings"] == "count 4"
    assert values["precision"] == "float64"
    assert "jax" in values["versions"]
    assert re.fullmatch(r"sha256 [0-9a-f]{64}", values["code"])


def test_tables_are_shown_whole_or_say_what_is_shown():
    for rows, shown in ((WHOLE, WHOLE), (WHOLE + 1, 8)):
        (part,) = parts_of(pd.DataFrame({"x": np.arange(rows) / 7}), [])
        assert (len(part["rows"]), part["total"]) == (shown, rows)
    (part,) = parts_of(pd.DataFrame({"part": "a", "x": np.arange(WHOLE + 1)}), ["a"])
    assert len(part["rows"]) == WHOLE + 1


def test_the_page_reads_with_analyses_figures_and_files_missing(tmp_path):
    empty = Page(build(tmp_path, ORDER).read_text(encoding="utf-8"))
    assert "no finished analyses" in empty.all("main")[0].text
    make(tmp_path)
    for kind in ("svg", "csv", "pdf"):
        (tmp_path / "tiny" / f"tiny.{kind}").unlink()
    found = Page(build(tmp_path, ORDER).read_text(encoding="utf-8"))
    text = found.all("main")[0].text
    assert "design-space reproduce tiny draws it" in text
    assert "2 analyses are not among these results" in text
    assert "has no verdicts" in text
    assert not found.all("img")
    beside = [a.attributes["href"] for a in found.all("a", class_="beside")]
    assert beside == ["tiny/tiny.png", "tiny/tiny.tex", "tiny/table.parquet"]
    assert all((tmp_path / place).is_file() for place in beside)


def test_a_page_that_would_not_change_is_left_alone(results, page):
    path = results / "report.html"
    before = path.stat().st_mtime_ns
    assert build(results, ORDER) == path
    assert path.stat().st_mtime_ns == before
    assert json.loads((results / "tiny" / "section.json").read_text("utf-8"))["rows"] == 4
