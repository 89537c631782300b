"""Writes integrals.json: entropy, mmse, I and I' of random mixtures on the line, by mpmath.

Run `python make_integrals.py` in this folder (about three minutes); the file is read by the tests,
which recompute one row. A row holds weights, means, stds and v as the floats they are (hexadecimal,
exact), and the four numbers in twenty digits. Scales run over five decades within a row.
"""

import functools
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference.mixture import Mixture
from reference.precision import digits, mp

ROWS = 72
DIGITS = 24
PATH = Path(__file__).with_name("integrals.json")
INTEGRALS = ("entropy", "mmse", "fisher_information", "fisher_information_slope")


def random_law(seed):
    """Weights, means, stds and v: every fourth law has a Dirac, every fifth a tiny weight."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 5))
    weights = rng.dirichlet(np.ones(count))
    means = rng.normal(size=count) * 10 ** rng.uniform(-1, 2)
    stds = 10 ** rng.uniform(-4, 1, size=count)
    if seed % 4 == 0:
        stds[0] = 0.0
    if seed % 5 == 0:
        weights[0] *= 1e-6
    return weights / weights.sum(), means, stds, float(10 ** rng.uniform(-5.4, 3.8))


def row(seed):
    """One row of the table."""
    weights, means, stds, v = random_law(seed)
    previous, mp.dps = mp.dps, DIGITS
    try:
        law = Mixture(weights, means, stds**2)
        law.at = functools.cache(law.at)
        numbers = {name: digits(getattr(law, name)(v), 20) for name in INTEGRALS}
    finally:
        mp.dps = previous
    inputs = {"weights": weights, "means": means, "stds": stds, "v": [v]}
    return {name: [float(x).hex() for x in values] for name, values in inputs.items()} | numbers


if __name__ == "__main__":
    rows = [row(seed) for seed in range(ROWS)]
    PATH.write_text(json.dumps(rows, indent=0) + "\n", encoding="utf-8")
