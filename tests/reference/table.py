"""Reads numbers.json: hex floats become floats, digit strings become mpf of sixty digits."""

import json
from pathlib import Path
from typing import Any

from .precision import mp

FILE = Path(__file__).with_name("numbers.json")
ERRORS = {"initialization", "score", "discretization", "path_kl", "marginal_kl", "w2"}
DETAILS = {"condition", "conditions", "law_mean", "law_covariance"}
LEVELS = {"fisher_information", "fisher_information_slope", "mmse", "entropy"}
DIGITS = ERRORS | DETAILS | LEVELS
WORDS = {"name", "grid", "steps"}


def _each(convert: Any, value: Any) -> Any:
    """`convert` of every entry of nested lists; None stays."""
    if isinstance(value, list):
        return [_each(convert, entry) for entry in value]
    return None if value is None else convert(value)


def _read(row: dict[str, Any], grids: dict[str, list[float]]) -> dict[str, Any]:
    read = {}
    for key, value in row.items():
        if key in WORDS:
            read[key] = value
        else:
            read[key] = _each(mp.mpf if key in DIGITS else float.fromhex, value)
    if "grid" in row:
        read["sigmas"] = grids[row["grid"]]
    return read


def load() -> dict[str, Any]:
    """The table: "grids" (name -> sigmas, descending) and lists of rows "gaussian", "affine",
    "mixture", "levels". Each design's row gets its grid as `sigmas`. Fields: see `make_numbers`.
    """
    raw = json.loads(FILE.read_text())
    grids = {name: _each(float.fromhex, grid) for name, grid in raw["grids"].items()}
    kinds = ("gaussian", "affine", "mixture", "levels")
    return {"grids": grids} | {k: [_read(row, grids) for row in raw[k]] for k in kinds}
