"""Lessons inside the explorer: links and pictures that work there, answers folded."""

import re

import pytest

from design_space.commands.explore import lessons

HERE = "http://127.0.0.1:2718/"


@pytest.mark.parametrize(
    ("text", "adapted"),
    [
        (f"[open]({HERE}?lesson=1&std=0.5)", "[open](?lesson=1&std=0.5)"),
        (f"[open]({HERE})", "[open](?)"),
        (f"[give $s$ its value]({HERE}?std=2)", "[give $s$ its value](?std=2)"),
        ("[paper](https://arxiv.org/abs/2406.12839)", "[paper](https://arxiv.org/abs/2406.12839)"),
        ("[page](../notation.md)", "page"),
        ("[below](#exercises)", "[below](#exercises)"),
        ("a <!-- hidden --> b", "a  b"),
        ("![no such\npicture](../nowhere.png)", "*(no such picture)*"),
        ("$E[X](v)$ and `a[0](x)` and $$D[f](x)$$", "$E[X](v)$ and `a[0](x)` and $$D[f](x)$$"),
    ],
)
def test_links_lead_somewhere_from_inside(text, adapted):
    assert lessons.adapted(text) == adapted


def test_every_lesson_is_shown_whole():
    found = lessons.titles()
    assert set(found) == set(range(1, len(found) + 1))
    for number, title in found.items():
        page = lessons.shown(number).text
        assert title in page
        assert HERE not in page
        assert page.count("<details>") == page.count("</details>") > 0
        assert page.count("codehilite") > 2
        assert not re.search(r"<img[^>]+src=['\"](?!data:)", page)


def test_free_exploration_shows_no_lesson():
    assert lessons.shown(None) is None
