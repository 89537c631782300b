"""The report in a browser: tables sort by click and by key, and nothing goes wrong or out."""

import html
import json
import re
import shutil
import subprocess

import pytest
from report_results import VERDICTS, make, make_ledger, statements

from design_space.commands.report.page import build
from design_space.commands.report.tables import parts_of

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")

WATCH = """<script>
const wrong = [];
addEventListener("error", (event) => wrong.push(event.message || event.target.tagName), true);
addEventListener("securitypolicyviolation", (event) => wrong.push(event.blockedURI));
</script>"""

TRY = """<script>
addEventListener("load", () => {
const table = [...document.querySelectorAll("table")].find((t) => t.querySelector(".badge"));
const buttons = [...table.querySelectorAll("th button")];
const button = (name) => buttons.find((b) => b.textContent === name);
const column = (name) => {
  const at = [...table.tHead.rows[0].cells].findIndex((h) => h.textContent === name);
  return [...table.tBodies[0].rows].map((row) => row.cells[at].textContent);
};
const state = (name) => button(name).closest("th").getAttribute("aria-sort");
const seen = {before: state("margin")};
button("margin").click();
seen.up = column("margin"); seen.upState = state("margin");
button("margin").click();
seen.down = column("margin"); seen.downState = state("margin");
button("statement").click(); button("statement").click();
seen.words = column("statement"); seen.marginState = state("margin");
button("title").focus();
seen.reached = document.activeElement === button("title");
seen.wide = [...document.images].map((image) => image.naturalWidth > 0);
dispatchEvent(new Event("beforeprint"));
seen.printed = [...document.querySelectorAll("details")].every((details) => details.open);
dispatchEvent(new Event("afterprint"));
seen.folded = [...document.querySelectorAll("details.facts")].every((details) => !details.open);
seen.sideways = document.documentElement.scrollWidth > innerWidth;
seen.requests = performance.getEntriesByType("resource").map((e) => e.name).filter(
  (name) => !name.startsWith("data:"));
seen.wrong = wrong;
seen.width = innerWidth;
parent.postMessage(JSON.stringify(seen), "*");
});
</script>"""

FRAME = """<!DOCTYPE html><title>frame</title>
<iframe src="used.html" style="width: {width}px; height: 900px; border: 0"></iframe>
<pre></pre>
<script>
addEventListener("message", (e) => {{ document.querySelector("pre").textContent = e.data; }});
</script>
"""  # the browser's own window is never narrower than 500 pixels


@pytest.fixture(scope="module", params=[1400, 400])
def seen(request, tmp_path_factory):
    """What happened on the page when it was used, at a width in pixels."""
    out = tmp_path_factory.mktemp("results")
    make(out)
    make_ledger(out, parts_of(statements(), ["statement"]))
    text = build(out, ["tiny", "ledger"]).read_text(encoding="utf-8")
    used = out / "used.html"
    used.write_text(
        text.replace("<head>", "<head>" + WATCH).replace("</body>", TRY + "</body>"), "utf-8"
    )
    frame = out / "frame.html"
    frame.write_text(FRAME.format(width=request.param), "utf-8")
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--virtual-time-budget=10000", "--window-size=1500,900"),
            *(f"--user-data-dir={out / 'profile'}", frame.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r"<pre>(.+?)</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr
    said = json.loads(html.unescape(found[1]))
    assert said["width"] == request.param
    return said


def test_numbers_sort_as_numbers_and_what_is_missing_stays_last(seen):
    assert seen["up"] == ["-3", "-1", "5e-30", "0.5", "20", "–"]
    assert seen["down"] == ["20", "0.5", "5e-30", "-1", "-3", "–"]


def test_words_sort_as_words(seen):
    assert seen["words"] == [f"lemma-{i}" for i in range(len(VERDICTS), 0, -1)]


def test_the_state_is_said_and_the_keyboard_reaches_it(seen):
    states = [seen[name] for name in ("before", "upState", "downState", "marginState")]
    assert states == ["none", "ascending", "descending", "none"]
    assert seen["reached"]


def test_nothing_goes_wrong_or_out(seen):
    assert seen["wrong"] == []
    assert seen["requests"] == []
    assert all(seen["wide"])
    assert len(seen["wide"]) == 2


def test_print_opens_what_is_folded(seen):
    assert seen["printed"]
    assert seen["folded"]


def test_the_page_does_not_scroll_sideways(seen):
    assert not seen["sideways"]
