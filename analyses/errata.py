"""The pages made from the ledger: errata, and the map of the paper."""

from collections.abc import Iterator
from typing import Any

from analyses.cases import toml
from analyses.catalogue import STATEMENTS
from analyses.recorded import recorded
from analyses.statement import Statement, fell

_IN_WORDS = (
    "Their authors state these in words and test them on images. The forms below, with settings, "
    "effect sizes and tests, were written down here before the runs. Not to be shown is not to be "
    "refuted; what is refuted is said."
)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{mantissa}·10^{int(exponent)}"
    return f"{value:.5g}"


def _formula(latex: str) -> str:
    return f"$$\n{latex}\n$$"


def _counterexample(claims: dict[str, Any], statement: Statement) -> Iterator[str]:
    """The printed claim's counterexample, as the specification file it is, and its two sides."""
    found = claims[statement.printed.name].get("counterexample")
    worst = claims[statement.printed.name]["worst"]
    if statement.registered:
        yield (
            f"Where it is farthest from being shown: {worst['what']}: the interval reaches "
            f"{_number(worst['left'])}, at most {_number(worst['right'])} was registered."
        )
        return
    if found is None:
        yield (
            f"Where it is farthest off: {worst['what']}, {_number(worst['left'])} measured, "
            f"{_number(worst['right'])} claimed."
        )
        return
    relation = "at most" if statement.printed.relation == "<=" else "equal to"
    yield (
        f"The smallest counterexample found: the left side is {_number(found['left'])} and should "
        f"be {relation} {_number(found['right'])}."
    )
    yield f"```toml\n{toml(found['design']).strip()}\n```"


def _tally(claims: dict[str, Any], statement: Statement) -> str:
    printed, fixed = statement.printed, statement.corrected
    seen = claims[printed.name]
    form, falls = ("registered", "is not shown") if statement.registered else ("printed", "fails")
    text = f"As {form} ({printed.says}): {falls} in {seen['violations']} of "
    text += f"{seen['observations']} comparisons on {seen['designs']} designs."
    if fixed is not None:
        good, weaker = claims[fixed.name], "Weaker" if statement.registered else "Corrected"
        text += f" {weaker} ({fixed.says}): holds in all {good['observations']} comparisons on "
        text += f"{good['designs']} designs"
        if fixed.relation == "=":
            off = good["deviation"]
            text += f", to {_number(off)} beyond the stated errors." if off else ", to rounding."
        elif good["tightness"] is None:  # a sampled claim is decided by its intervals
            text += ", with confidence."
        else:
            text += f"; the closest comes to {_number(good['tightness'])} of the bound."
    return text


def _fails(statement: Statement, claims: dict[str, Any]) -> Iterator[str]:
    yield f"### {statement.id}: {statement.title}"
    yield f"*{statement.source}.* {statement.says}"
    words = ("As registered, the source has no formula:", "Weaker:")
    printed, corrected = words if statement.registered else ("As printed:", "Corrected:")
    yield printed
    yield _formula(statement.latex)
    if statement.corrected_latex:
        yield corrected
        yield _formula(statement.corrected_latex)
    yield statement.derivation.replace("*", r"\*")  # stars are symbols there
    yield _tally(claims, statement)
    yield from _counterexample(claims, statement)


def errata() -> str:
    """Every statement that fails as printed or is not shown, and the table of all that holds."""
    record = recorded()
    fallen = [s for s in STATEMENTS.values() if fell(s.expected)]
    right = [s for s in STATEMENTS.values() if s not in fallen]
    wrong, short = ([s for s in fallen if s.registered == flag] for flag in (False, True))
    blocks = [block for s in wrong for block in _fails(s, record[s.id]["claims"])]
    blocks += ["## Claims made in words", _IN_WORDS] if short else []
    blocks += [block for s in short for block in _fails(s, record[s.id]["claims"])]
    blocks.append("## What holds")
    rows = ["| statement | says | verdict | designs |", "|---|---|---|---|"]
    for statement in right:
        designs = max(c["designs"] for c in record[statement.id]["claims"].values())
        cells = (statement.id, f"{statement.title}: {statement.says}", statement.expected, designs)
        rows.append("| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |")
    blocks.append("\n".join(rows))
    return "\n\n".join(blocks)


def statements() -> str:
    """The table of all statements with what was found, for the map of the paper."""
    record = recorded()
    rows = ["| statement | source | verdict | margin | command |", "|---|---|---|---|---|"]
    for statement in STATEMENTS.values():
        claim = record[statement.id]["claims"][statement.printed.name]
        margin = _number(claim["margin"])
        if claim["margin"] is None and claim["holds"]:
            margin = f"equal to {claim['deviation']:.0e}" if claim["deviation"] else "equal"
        cells = (statement.title, statement.source, statement.expected, margin)
        text = " | ".join(str(cell).replace("|", r"\|") for cell in cells)
        rows.append(f"| {text} | `design-space check {statement.id}` |")
    return "\n".join(rows)
