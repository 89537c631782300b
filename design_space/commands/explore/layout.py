"""The pieces of the page as HTML: heading, panel of controls, gallery of pictures, link."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import marimo as mo

from design_space.commands.explore.picture import Drawing, Picture
from design_space.commands.explore.reading import View
from design_space.commands.explore.words import NAMES, UNITS, measured
from design_space.explorer.controls import CONTROLS
from design_space.explorer.numbers import Numbers

GROUPS = {"data": "Data", "sigma_min": "Noise schedule", "sampler": "Sampler and score"}
"""The control with which a group of the panel begins -> the heading of the group."""


def heading(notes: Sequence[str], choice: Any) -> Any:
    """The top of the page: its title, the choice of a lesson, and what was wrong with its link.

    Args:
      notes: what could not be taken from the link.
      choice: the element that chooses between free exploration and the lessons.
    """
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    wrong = (
        '<div class="ds-notes" role="alert"><p>Not everything in this link could be read; '
        f"the rest has its defaults.</p><ul>{listed}</ul></div>"
        if notes
        else ""
    )
    return mo.Html(
        '<header class="ds-heading"><div><h1>The error budget of a diffusion model</h1>'
        "<p>Choose data, noise schedule, score and sampler; see which error each of them makes."
        f'</p></div><div class="ds-choice">{choice}</div></header>{wrong}'
    )


def panel(elements: Mapping[str, Any], view: View) -> Any:
    """The controls in groups, those without an effect hidden, messages below their fields.

    Args:
      elements: name -> element.
      view: which controls have an effect, and the messages.
    """
    parts, opened = [], False
    for name, control in CONTROLS.items():
        if name not in elements:
            continue
        if name in GROUPS:
            parts.append("</fieldset>" if opened else "")
            parts.append(f"<fieldset><legend>{GROUPS[name]}</legend>")
            opened = True
        hidden = "" if name in view.applies else " ds-hidden"
        message = html.escape(view.messages.get(name, ""))
        about = f'data-name="{name}" title="{html.escape(control.help)}"'
        parts.append(
            f'<div class="ds-control{hidden}" {about}>'
            f'{elements[name]}<p class="ds-message" role="alert">{message}</p></div>'
        )
    return mo.Html(f'<div class="ds-panel">{"".join(parts)}</fieldset></div>')


def path_bar(slider: Any, choices: Sequence[Any]) -> Any:
    """What governs the view of the pictures, without a change of the design.

    Args:
      slider: the slider along the path.
      choices: how some of the pictures are drawn.
    """
    rest = "".join(f"<div>{choice}</div>" for choice in choices)
    return mo.Html(f'<div class="ds-bar"><div data-name="step">{slider}</div>{rest}</div>')


def gallery(pictures: Sequence[Picture], numbers: Numbers) -> Any:
    """The pictures with their tables, below a line with the key numbers.

    Args:
      pictures: in order.
      numbers: what they show.
    """
    frames = "".join(_frame(picture) for picture in pictures)
    return mo.Html(f'<div class="ds-gallery">{summary(numbers)}{frames}</div>')


def summary(numbers: Numbers) -> str:
    """The key numbers in one line, which screen readers speak when it changes.

    Args:
      numbers: of one state.
    """
    values = numbers.values
    told = ", ".join(
        f"{NAMES[name]} <b>{html.escape(measured(values[name]))}</b> {UNITS[name]}"
        if values[name].value is not None
        else f"{NAMES[name]} {'pending' if values[name].pending else 'not known'}"
        for name in ("marginal_kl", "path_kl", "w2")
    )
    busy = "" if numbers.final else ' <span class="ds-busy">refining …</span>'
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in numbers.notes)
    return (
        f'<div class="ds-summary"><p role="status" aria-live="polite">{told}; '
        f"{numbers.evaluations} evaluations of the score.{busy}</p>{notes}</div>"
    )


def _frame(picture: Picture) -> str:
    name, title = picture.name, html.escape(picture.title)
    drawing = mo.as_html(Drawing(picture)).text if picture.chart is not None else ""
    data = json.dumps(picture.data()) if picture.chart is not None else ""
    about = f'data-alt="{html.escape(picture.alt)}" data-now="{html.escape(data)}"'
    note = f'<p class="ds-note">{html.escape(picture.note)}</p>' if picture.note else ""
    return (
        f'<section class="ds-picture" data-name="{name}" aria-label="{title}"><h2>{title}</h2>'
        f'<div class="ds-chart" {about}>{drawing}</div>{note}'
        f"{picture.table.html(picture.title)}</section>"
    )


def refused(error: ValueError) -> Any:
    """What stands in the place of the pictures where a design does not exist.

    Args:
      error: why.
    """
    return mo.Html(f'<div class="ds-notes" role="alert"><p>{html.escape(str(error))}</p></div>')


def keep(query: Mapping[str, str], downloads: Sequence[Any]) -> Any:
    """The link to the state, which a script of the page also puts into the address bar.

    Args:
      query: name -> text.
      downloads: the buttons of the files.
    """
    text = "?" + urlencode(query)
    buttons = "".join(button.text for button in downloads)
    return mo.Html(
        '<div class="ds-keep"><p><a class="ds-link" '
        f'href="{html.escape(text)}">Link to this design</a> '
        '<button type="button" class="ds-copy">Copy the link</button> '
        f'<code class="ds-query">{html.escape(text)}</code></p>'
        f'<div class="ds-downloads">{buttons}</div></div>'
    )
