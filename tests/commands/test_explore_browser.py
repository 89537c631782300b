"""The explorer in a browser: every control moves the pictures, nothing goes wrong or out."""

import csv
import re
import signal
import tomllib
from urllib.parse import parse_qs, urlsplit

import pytest
from explore_server import started

pytest.importorskip("playwright", reason="playwright is not installed")
from explore_browser import BROWSER, PICTURES, Page, launched

import design_space as ds
from design_space.commands.explore.widgets import stops
from design_space.explorer.controls import CONTROLS
from design_space.explorer.state import State

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("explorer"),  # one server for all
    pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def address(request):
    process, found = started(request.config)
    yield found
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.fixture
def page(browser, address):
    found = Page(browser, address)
    yield found
    found.page.close()
    assert found.complaints == []
    outside = [url for url in found.requests if not url.startswith((address, "data:", "blob:"))]
    assert outside == []


def numbers_in(text):
    """The numbers of a text, powers of ten read."""
    plain = text.replace("−", "-").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    found = re.findall(r"(-?\d+\.?\d*)(?:·10(-?\d+))?", plain)
    return [float(value) * 10 ** int(power or 0) for value, power in found]


def test_the_page_shows_the_numbers_of_the_library(page):
    """Against `ds.evaluate`, and the public reference numbers of N(0, 0.25) at N = 10 (EDM)."""
    page.open("?steps=10")
    summary = page.summary()
    assert "marginal KL 0.240 nats" in summary  # .24041
    assert "path KL 2.31 nats" in summary  # 2.3076
    budget = ds.evaluate(ds.Gaussian.isotropic(1, 0.5), ds.edm(10))
    # three digits are shown
    assert numbers_in(summary)[2] == pytest.approx(float(budget.w2.value), rel=5e-3)
    assert set(page.words()) == set(PICTURES)
    for words in page.words().values():
        assert numbers_in(words), words


ALL = set(PICTURES)
MOVES = {
    "": [
        ("mean", "ArrowRight", {"law"}),
        ("std", "ArrowRight", ALL),
        ("sigma_min", "ArrowRight", {"fisher", "budget", "bounds"}),
        ("sigma_max", "ArrowLeft", {"fisher", "budget", "bounds"}),
        ("rho", "ArrowLeft", ALL - {"winner"}),
        ("steps", "ArrowRight", ALL),
        ("step", "ArrowLeft", {"law"}),
        ("variance", "sqrt", {"fisher", "budget", "bounds"}),
        ("time", "exponential", ALL - {"winner"}),
        ("sampler", "heun", {"law", "budget", "bounds"}),
    ],
    "?data=bimodal&steps=5": [
        ("separation", "ArrowRight", ALL),
        ("width", "ArrowRight", ALL - {"winner"}),
        ("data", "gaussian", ALL),
    ],
    "?score=scaled&factor=1.1&training=30": [
        ("factor", "ArrowRight", {"law", "budget"}),
        ("score", "trained", {"law", "budget"}),
        ("training", "ArrowRight", {"law", "budget"}),
        ("weighting", "uniform", {"budget"}),
    ],
}
"""State -> the controls that are moved there, by a key or to a choice, and what has to change."""


@pytest.mark.parametrize("query", MOVES)
def test_every_control_changes_its_pictures(page, query):
    page.open(query)
    for name, move, changed in MOVES[query]:
        before, summary, link = page.words(), page.summary(), page.link()
        if CONTROLS[name].kind == "choice":
            page.choose(name, move)
        else:
            page.press(name, move, 3)
        after = page.words()
        assert changed <= {picture for picture in PICTURES if after[picture] != before[picture]}
        if "budget" in changed:
            assert page.summary() != summary, name
        assert page.link() != link, name
        page.page.wait_for_function("(link) => location.href.endsWith(link)", arg=page.link())


def test_views_change_a_picture_and_not_the_state(page):
    page.open("?steps=10")
    before, link = page.words(), page.link()
    page.page.get_by_label("Error budget", exact=True).select_option(label="step by step")
    page.page.get_by_label("Winner by", exact=True).select_option(label="path KL")
    page.page.wait_for_function(
        "() => document.querySelector('[data-name=winner] h2').textContent.includes('path KL')"
    )
    page.settle()
    after = page.words()
    assert {name for name in PICTURES if after[name] != before[name]} == {"budget", "winner"}
    assert "step by step" in after["budget"]
    assert page.link() == link


@pytest.mark.parametrize(
    ("query", "moves"),
    [
        ("?steps=5", [("std", "Home"), ("steps", "End"), ("step", "Home"), ("rho", "End")]),
        ("?steps=12&step=8", [("sampler", "heun"), ("sampler", "frozen"), ("sigma_max", "End")]),
        ("?score=scaled", [("factor", "End"), ("score", "exact"), ("data", "bimodal")]),
    ],
)
def test_a_picture_with_new_data_is_the_one_drawn_afresh(page, query, moves):
    """Its axes, their room, the order of what it shows: pixel by pixel."""
    page.open(query)
    for name, move in moves:
        before = page.drawn()
        if CONTROLS[name].kind == "choice":
            page.choose(name, move)
        else:
            page.press(name, move)
        assert page.drawn() != before, name
    moved, words = page.drawn(), page.words()
    page.open(page.link())
    assert page.words() == words
    afresh = page.drawn()
    assert set(afresh) == set(moved)
    assert [name for name in afresh if afresh[name] != moved[name]] == []


def test_pictures_keep_their_data_when_the_colors_change(page):
    page.open("?steps=12")
    words, light = page.words(), page.drawn()
    page.page.emulate_media(color_scheme="dark")
    page.page.wait_for_function("() => document.body.classList.contains('dark')")
    page.settle()
    assert page.words() == words
    assert all(picture != light[name] for name, picture in page.drawn().items())
    page.page.emulate_media(color_scheme="light")
    page.page.wait_for_function("() => !document.body.classList.contains('dark')")
    page.settle()
    assert page.drawn() == light


def test_every_control_has_a_move_here():
    tested = {name for moves in MOVES.values() for name, _, _ in moves}
    assert tested | {"mixture", "lesson"} == set(CONTROLS)


def test_controls_without_an_effect_are_hidden(page):
    page.open()
    for name, control in CONTROLS.items():
        if name not in ("lesson", "step"):
            applies = control.applies(vars(State()))
            assert page.control(name).is_visible() == applies, name
    page.choose("score", "trained")
    page.page.wait_for_function(
        "() => !document.querySelector('[data-name=weighting]').classList.contains('ds-hidden')"
    )
    assert page.control("training").is_visible()


def test_sliders_stop_at_the_ends_of_their_domain(page):
    page.open()
    page.press("sigma_max", "End")
    assert "sigma_max=1000.0" in page.link()
    page.press("std", "Home")
    assert "std=0.01" in page.link()
    for control in CONTROLS.values():
        if control.kind in ("number", "whole") and control.default is not None:
            found = stops(control, control.default)
            assert (found[0], found[-1]) == (control.low, control.high)


def test_the_keyboard_reaches_every_control(page):
    page.open("?score=trained")
    reached = set()
    for _ in range(60):
        page.page.keyboard.press("Tab")
        reached.add(
            page.page.evaluate(
                """() => {
                  let e = document.activeElement;
                  while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
                  while (e && !e.dataset?.name && e !== document.body) {
                    e = e.parentNode ?? null;
                    if (e instanceof ShadowRoot) e = e.host;
                  }
                  return e?.dataset?.name ?? "";
                }"""
            )
        )
    state = State(score="trained")
    wanted = {name for name in CONTROLS if state.applies(name)} - {"lesson"}
    assert wanted <= reached
    assert set(PICTURES) <= reached  # the menu that keeps a picture


def test_a_slider_says_its_value_and_many_moves_end_at_the_last(page):
    page.open()
    thumb = page.control("std").locator("[role=slider]")
    page.press("std", "ArrowRight", 30)
    places = stops(CONTROLS["std"], 0.5)
    last = places[places.index(0.5) + 30]
    page.page.wait_for_function(
        "(text) => document.querySelector('a.ds-link').href.endsWith(text)", arg=f"?std={last}"
    )
    page.settle()
    assert float(thumb.get_attribute("aria-valuetext")) == last
    _, _, _, _, exact, *_ = numbers_in(page.words()["law"])  # of the exact law, three digits
    assert exact == pytest.approx(last, rel=5e-3)


def test_a_broken_link_opens_the_defaults_with_a_note(page):
    page.open("?steps=10&std=-3&sampler=nothing&color=red")
    note = page.page.inner_text(".ds-notes")
    assert "std = '-3': must be a number from 0.01 to 100" in note
    assert "sampler = 'nothing': must be one of" in note
    assert "color = 'red'" in note
    assert "marginal KL 0.240 nats" in page.summary()  # N = 10 was read, the rest has its defaults
    assert page.link() == "?steps=10"


def test_a_whole_link_has_no_note(page):
    page.open("?steps=10")
    assert page.page.locator(".ds-notes").count() == 0


def test_a_mixture_that_is_none_keeps_the_last_good_one(page):
    page.open("?data=mixture&steps=5&mixture=N(1, 0.5)")
    before, link = page.words(), page.link()
    page.write("mixture", "0.5 N(1, 0.5) + 0.6 N(0, 1)")
    message = page.control("mixture").locator(".ds-message")
    message.filter(has_text="the weights add up to 1.1").wait_for()
    assert page.words() == before
    assert page.link() == link
    page.write("mixture", "0.4 N(1, 0.5) + 0.6 N(0, 1)")
    message.filter(has_not_text="the weights").wait_for(state="attached")
    page.settle()
    assert page.words()["law"] != before["law"]
    assert "0.4" in page.link()


def test_levels_that_do_not_go_together_are_said_beside_the_field(page):
    page.open("?sigma_max=20")
    page.press("sigma_max", "Home")
    page.control("sigma_min").locator("[role=slider]").focus()
    page.page.keyboard.press("End")
    message = page.control("sigma_min").locator(".ds-message")
    message.filter(has_text="at most 0.9 times sigma_max = 0.1").wait_for()


def test_a_mixture_is_refined_and_a_move_abandons_it(page):
    page.open("?data=bimodal&steps=60")
    page.control("width").locator("[role=slider]").focus()
    page.page.keyboard.press("ArrowRight")
    page.page.wait_for_selector(".ds-busy")
    page.page.keyboard.press("ArrowRight")  # while the first is being refined
    page.page.wait_for_function("() => document.querySelector('a.ds-link').href.includes('width')")
    page.settle()
    width = float(parse_qs(urlsplit(page.link()).query)["width"][0])
    around = stops(CONTROLS["width"], CONTROLS["width"].default)
    assert width == around[around.index(CONTROLS["width"].default) + 2]
    modes = ds.GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], [width, width])
    budget = ds.evaluate(modes, ds.edm(60))
    # three digits are shown
    assert numbers_in(page.summary())[0] == pytest.approx(float(budget.marginal_kl.value), rel=1e-2)


def test_downloads_are_of_the_state(page, tmp_path):
    page.open("?steps=12")
    page.press("std", "ArrowRight")
    std = float(parse_qs(urlsplit(page.link()).query)["std"][0])
    files = {}
    for words in ("Specification", "Numbers per step"):
        with page.page.expect_download() as waiting:
            page.page.locator(".ds-downloads a", has_text=words).click()
        files[words] = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(files[words])
    design = tomllib.loads(files["Specification"].read_text())
    assert design["target"]["std"] == std
    assert design["schedule"]["steps"] == 12
    with files["Numbers per step"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13
    budget = ds.evaluate(ds.Gaussian.isotropic(1, std), ds.edm(12))
    total = sum(float(row["discretization"]) for row in rows[1:])
    assert total == pytest.approx(float(budget.discretization.value), rel=1e-9)


def test_a_lesson_opens_beside_the_pictures(page):
    page.open("?lesson=1")
    lesson = page.page.locator("article.ds-lesson")
    assert lesson.locator("h1").inner_text().startswith("Lesson 1")
    assert lesson.locator("marimo-tex .katex").count() > 10
    assert lesson.locator(".codehilite span").count() > 10
    assert lesson.locator("img").count() >= 1
    answers = lesson.locator("details")
    assert answers.count() >= 1
    assert not answers.first.locator(".codehilite").first.is_visible()
    answers.first.locator("summary").click()
    assert answers.first.evaluate("(e) => e.open")
    hrefs = [a.get_attribute("href") for a in lesson.locator("a").all()]
    assert not any("127.0.0.1:2718" in href for href in hrefs)
    inside = next(href for href in hrefs if href.startswith("?lesson=1&"))
    page.open(inside)
    assert lesson.locator("h1").inner_text().startswith("Lesson 1")
    assert page.page.locator(".ds-notes").count() == 0
    page.page.locator(".ds-choice select").select_option(label="Free exploration")
    lesson.wait_for(state="detached")
    page.page.wait_for_function(
        "() => !document.querySelector('a.ds-link').getAttribute('href').includes('lesson')"
    )


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (400, "dark")])
def test_it_fits_its_window_in_light_and_dark(browser, address, width, scheme):
    page = Page(browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme)
    for query in ("?data=bimodal&steps=5", "?lesson=1"):
        page.open(query)
        assert page.sideways() == 0
        dark = page.page.evaluate("() => document.body.classList.contains('dark')")
        assert dark == (scheme == "dark")
        charts = "[...document.querySelectorAll('.ds-chart')]"
        over = page.page.evaluate(f"() => {charts}.map((e) => e.scrollWidth - e.clientWidth)")
        assert max(over) <= 0
    page.page.close()
    assert page.complaints == []
