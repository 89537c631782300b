"""Formulas as MathML, made from TeX when the pages are built: a browser needs no script for them.

latex2mathml does the translation; the rest adds what browsers need for good spacing, and refuses
what was not understood, so that a misspelled command stops the strict build.
"""

import itertools
import re
import unicodedata
import xml.etree.ElementTree as ET
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
ALPHABETS = {"script": "SCRIPT", "double-struck": "DOUBLE-STRUCK", "fraktur": "FRAKTUR"}
"""Variants of letters that browsers know as characters of their own only."""

LIMITS = ("max", "min", "sup", "inf", "lim", "argmin", "argmax")
THIN = "0.17em"
_LOG = logging.getLogger(__name__)


def letter(variant: str, text: str) -> str:
    """A letter of another alphabet: the script L of "script" and "L"."""
    for prefix in ("MATHEMATICAL ", ""):
        try:
            return unicodedata.lookup(f"{prefix}{ALPHABETS[variant]} CAPITAL {text}")
        except KeyError:
            continue
    return text


def _tidy_letters(element: ET.Element) -> None:
    """Draws script and blackboard letters, and joins upright ones to words."""
    variant = element.get("mathvariant", "")
    if variant in ALPHABETS and element.text:
        del element.attrib["mathvariant"]
        element.text = letter(variant, element.text)
    parts = list(element)
    if element.tag == "mrow" and len(parts) > 1 and all(_upright(part) for part in parts):
        word = "".join(part.text or "" for part in parts)
        for part in parts:
            element.remove(part)
        ET.SubElement(element, "mi", mathvariant="normal").text = word


def _upright(element: ET.Element) -> bool:
    return element.tag == "mi" and element.get("mathvariant") == "normal"


def _tidy_operators(element: ET.Element) -> None:
    """Gives bars no space, functions and thin spaces a thin one, and accents and fences names."""
    text = (element.text or "").strip()
    if element.tag == "mo" and text in ("|", "‖"):
        element.attrib |= {"lspace": "0", "rspace": "0"}
    if element.tag == "mspace" and element.get("width") == "thinmathspace":
        element.set("width", THIN)  # browsers know lengths, not names of spaces
    if element.tag == "mo" and "minsize" in element.attrib:
        element.attrib |= {"stretchy": "true", "symmetric": "true"}
    if element.tag in ("mi", "mo") and len(text) > 1 and text.isalpha() and not _upright(element):
        element.tag = "mo"
        element.attrib |= {"lspace": THIN, "rspace": THIN, "form": "prefix"}
        if text in LIMITS:
            element.set("movablelimits", "true")
    if element.tag == "msub" and element[0].text in LIMITS:
        element.tag = "munder"  # below in a displayed formula, beside in a line
    if element.tag == "mover" and element[1].text in ("¯", "^", "~", "˙"):
        element.set("accent", "true")
        element[1].attrib |= {"stretchy": "false"}


def _tidy_arguments(element: ET.Element) -> None:
    """Leaves no space between a function and the parenthesis of its argument."""
    parts = list(element)
    for function, argument in itertools.pairwise(parts):
        if function.get("rspace") == THIN and argument.text == "(":
            function.set("rspace", "0")


def mathml(tex: str, display: str) -> str:
    """Translates a formula.

    Args:
      tex: the formula, without dollars.
      display: "inline" or "block".

    Returns:
      A `<math>` element that carries the TeX in its `alttext`.

    Raises:
      ValueError: if a command is not understood.
    """
    tex = tex.strip().replace("{aligned}", "{align*}")
    try:
        root = ET.fromstring(convert(tex, display=display).replace(f' xmlns="{NAMESPACE}"', ""))
    except Exception as error:  # the translator fails in many ways
        raise ValueError(f"formula not understood ({error}): {tex}") from error
    unknown = [e.text for e in root.iter() if e.tag != "mtext" and re.match(r"\\\w", e.text or "")]
    if unknown:
        raise ValueError(f"formula with unknown {', '.join(map(str, unknown))}: {tex}")
    for element in root.iter():
        _tidy_letters(element)
        _tidy_operators(element)
    for element in root.iter():
        _tidy_arguments(element)
    root.set("alttext", tex)
    return ET.tostring(root, encoding="unicode")


def _write(writer: Any, node: nodes.Element, display: str) -> str:
    try:
        return mathml(node.astext(), display)
    except ValueError as error:
        _LOG.warning("%s", error, location=node)
        return writer.encode(node.astext())


def visit_inline(writer: Any, node: nodes.Element) -> None:
    """Writes a formula in a line."""
    writer.body.append(_write(writer, node, "inline"))
    raise nodes.SkipNode


def visit_display(writer: Any, node: nodes.Element) -> None:
    """Writes a formula of its own, which scrolls in itself where it is wider than the page."""
    writer.body.append(f'<div class="formula">{_write(writer, node, "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Registers the renderer under the name `mathml`."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
