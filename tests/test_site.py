"""The documentation site: it builds strictly, needs no network, and documents every public name."""

import importlib.util
import itertools
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_pages import ROOT, pages
from playwright.sync_api import sync_playwright

import design_space

sys.path.insert(0, str(ROOT / "docs" / "extensions"))
import names

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # nothing has an address
]
EXTRA = ("sphinx", "myst_parser", "furo", "sphinx_copybutton", "latex2mathml")
NAMED = re.compile(r"^\| \[`(?:ds|design_space)\.([\w.]+)`\]", re.MULTILINE)

FETCHES = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("source", "src"),
    ("iframe", "src"),
    ("object", "data"),
}
"""Attributes that a browser follows by itself."""


class Page(HTMLParser):
    """What a page fetches, how many formulas it has, and the identifiers in it."""

    def __init__(self, file: Path):
        super().__init__()
        self.fetched: list[str] = []
        self.identifiers: set[str] = set()
        self.formulas = 0
        self.text = file.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        self.formulas += tag == "math"
        for key, value in attrs:
            if (tag, key) in FETCHES:
                self.fetched.append(value)
            if key == "id":
                self.identifiers.add(value)


pytestmark = pytest.mark.xdist_group("site")  # the site is built once


def documented() -> set[str]:
    text = "".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    return set(NAMED.findall(text))


def test_the_tables_of_the_reference_hold_every_public_name():
    assert set(design_space.__all__) <= documented()
    weightings = {f"weightings.{name}" for name in design_space.weightings.__all__}
    assert weightings <= documented()


def test_the_groups_are_the_pages_and_each_name_stands_on_one():
    files = {page.stem for page in (ROOT / "docs" / "api").glob("*.md")}
    assert files == set(names.GROUPS)
    rows = [row for group in names.GROUPS for row in NAMED.findall(names.table(group))]
    assert len(rows) == len(set(rows))


def test_first_sentences_are_read_from_the_source():
    assert names.sentence("design_space.schedules.named", "edm").endswith(".")
    assert "|" not in "".join(re.sub(r"\\\|", "", row) for row in [names.sentence("analyses")])


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml", reason="the extra `docs` is not installed")
    from mathml import mathml

    found = mathml(r"\max_j |\bar\sigma_j|^2 \ln x + \mathcal L \mathrm{KL}", "block")
    assert found.startswith("<math ")
    assert "<munder><mo" in found  # limits stand below the operator
    assert 'accent="true"' in found
    assert "\N{SCRIPT CAPITAL L}" in found
    assert ">KL<" in found  # upright letters are one word
    for bad in (r"\nonsense x", r"\frac{1}{"):
        with pytest.raises(ValueError, match="formula"):
            mathml(bad, "inline")


def emphasized(text: str) -> list[str]:
    """What underscores emphasize in a page; they are indices in its formulas."""
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", "", text, flags=re.DOTALL)
    found = []
    for block in MarkdownIt("commonmark").enable("table").parse(text):
        inside = block.children or []
        for mark, content in itertools.pairwise(inside):
            if mark.type in ("em_open", "strong_open") and mark.markup.startswith("_"):
                found.append(content.content)
    return found


def test_underscores_of_formulas_are_no_emphasis():
    assert emphasized("the norm |x|_F and then ∫_{u}") == ["F and then ∫"]
    assert emphasized(r"the norm |x|\_F, $|x|_F$ and then ∫_{u}, *x*") == []
    for page in pages():
        assert not emphasized(page.read_text(encoding="utf-8")), page.name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the site, built strictly as README.md says, into a temporary folder."""
    for module in EXTRA:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"the extra `docs` is not installed: no {module}")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "-j", "2", "-c", "docs"]
    done = subprocess.run(
        [*command, "-d", str(out / "doctrees"), ".", str(out / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.fixture(scope="module")
def site(folder):
    return {file.relative_to(folder).as_posix(): Page(file) for file in folder.rglob("*.html")}


@pytest.mark.slow
def test_every_page_is_there(site):
    for page in pages():
        assert page.relative_to(ROOT).with_suffix(".html").as_posix() in site
    assert "docs/index.html" in site["index.html"].text
    assert "search.html" in site


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(site):
    for name, page in site.items():
        outside = [link for link in page.fetched if re.match(r"(https?:)?//", link)]
        assert not outside, f"{name}: {outside}"
        assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", page.text), name


@pytest.mark.slow
def test_styles_fetch_nothing_either(folder):
    styles = list(folder.rglob("*.css"))
    assert styles
    for file in styles:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"@import\s+['\"]?\w|url\(\s*['\"]?(https?:)?//", text), file.name


@pytest.mark.slow
def test_formulas_are_mathml(site):
    for page in ("docs/errata.html", "docs/theory/overview.html"):
        source = (ROOT / page).with_suffix(".md").read_text(encoding="utf-8")
        displayed = len(re.findall(r"^\$\$", source, re.MULTILINE)) // 2
        assert site[page].formulas >= displayed > 0
    for name, page in site.items():
        assert not any("mathjax" in link.lower() for link in page.fetched), name


@pytest.mark.slow
def test_every_public_name_has_its_reference(site):
    found = set().union(*(page.identifiers for page in site.values()))
    names_of = {f"design_space.{name}" for name in documented()}
    names_of.remove("design_space.weightings")
    assert names_of <= found
    assert "module-design_space.weightings" in found


@pytest.mark.slow
def test_signatures_show_shapes_and_lead_to_types(site):
    page = site["docs/api/schedules.html"].text
    text = re.sub(r"<[^>]+>", "", page)
    assert "forward_sigmas: Float[Array, ' nodes']" in text
    assert 'href="#design_space.Schedule"' in page


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
def test_pages_fit_a_narrow_screen_and_search_works_without_a_server(folder):
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        page = browser.new_page(viewport={"width": 400, "height": 800})
        requests, errors = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for file in sorted((folder / "docs").rglob("*.html")):
            page.goto(file.as_uri())
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 400, f"{file.name} is {width} pixels wide"
        page.goto((folder / "search.html").as_uri() + "?q=path_optimal")
        page.wait_for_selector("#search-results li")
        assert "design_space.path_optimal" in page.inner_text("#search-results")
        browser.close()
    assert not errors
    assert not [url for url in requests if not url.startswith(("file:", "data:"))]
