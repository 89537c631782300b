"""Compares what a block of a page prints with the output that the page shows."""

import re

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]*\w)")
_SLACK = 1 + 1e-9  # a difference of one unit, itself rounded


def differences(printed: str, shown: str) -> list[str]:
    """Lines of `printed` that are not as in `shown`, in words; none if they agree.

    Text agrees if it is the same up to the number of spaces. Whole numbers are equal; numbers with
    a point or an exponent differ by at most one unit in the last digit, the finer of the two.
    """
    ours, theirs = printed.rstrip().splitlines(), shown.rstrip().splitlines()
    if len(ours) != len(theirs):
        return [f"{len(ours)} lines are printed, {len(theirs)} are shown:\n{printed}"]
    pairs = zip(ours, theirs, strict=True)
    return [f"printed {a!r}, shown {b!r}" for a, b in pairs if not _same_line(a, b)]


def _same_line(printed: str, shown: str) -> bool:
    ours, theirs = _NUMBER.findall(printed), _NUMBER.findall(shown)
    if _text(printed) != _text(shown) or len(ours) != len(theirs):
        return False
    return all(_same_number(a, b) for a, b in zip(ours, theirs, strict=True))


def _text(line: str) -> list[str]:
    """What stands between the numbers, spaces aside."""
    return [" ".join(part.split()) for part in _NUMBER.split(line)]


def _same_number(printed: str, shown: str) -> bool:
    units = [_unit(number) for number in (printed, shown)]
    if all(unit is None for unit in units):
        return int(printed) == int(shown)
    unit = min(1.0 if unit is None else unit for unit in units)
    return abs(float(printed) - float(shown)) <= unit * _SLACK


def _unit(number: str) -> float | None:
    """One unit in the last digit of a number with a point or an exponent; None if it is whole."""
    mantissa, _, exponent = number.lower().partition("e")
    if "." not in mantissa and not exponent:
        return None
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
