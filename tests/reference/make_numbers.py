"""Writes numbers.json: `python -m reference.make_numbers` from the folder tests (some 15 minutes).

Inputs are hex floats (`float.fromhex` gives them exactly), results decimal strings of 30 digits.
`table.load()` reads both. Noise levels are exact: v_j is the exact square of the float sigma_j.

Top level
  grids     name -> sigma_0 > ... > sigma_N, hex
  gaussian  designs on Gaussian data in their eigenbasis with score factor * L + shift
  affine    designs on Gaussian data with full matrices and affine scores that do not commute
  mixture   designs on mixtures on the line with score factor * L + shift
  levels    mixtures on the line at one noise variance

Inputs
  name, grid, steps           label, key into grids, N (plain string, string, integer)
  eigenvalues, mean           l_i and m_i of the data (gaussian); mean [d] (affine)
  covariance                  S [d][d] (affine)
  slopes, intercepts          A_j [N][d][d] and b_j [N][d], s_j(x) = A_j x + b_j (affine)
  weights, means, variances   w_k, m_k, s_k^2 (mixture, levels)
  factor, shift               score = factor * exact score + shift; shift is a list with one entry
                              per coordinate (gaussian) or a number (mixture)
  variance                    noise variance v (levels)

Results (nats; W2 in data units)
  initialization       E_I = KL(p_{v_0} | N(0, v_0 I))
  score                E_S = (1/2) sum_j h_j E|s_j - L_j|^2
  discretization       E_D = (1/2) sum_j int (I(v) - I(v_j)) dv
  path_kl              KL of the laws of all grid points: by the chain rule, step by step
                       (gaussian), by joint normal laws (affine), as E_I + E_S + E_D (mixture)
  marginal_kl, w2      KL(p_{v_N} | q_N) and W2(p_{v_N}, q_N); for mixtures hex floats in
                       marginal_kl_float and w2_float, from the density twin at resolution 6 (24
                       in the divergence), with marginal_kl_spread and w2_spread, the difference
                       from resolution 4 (16)
                       (null where N > 20)
  conditions           per eigenvalue, (sum of absolute parts of D_N)/|D_N|, D_N = Var Y_N - l - v_N
  condition            mean of the condition numbers of all D_N and mean errors, weighted by their
                       share of marginal_kl; for one eigenvalue and no mean, that of D_N
  law_mean, law_covariance                mean [d] and covariance [d][d] of Y_N (affine)
  fisher_information, fisher_information_slope, mmse, entropy   I, I', mmse and H at v (levels)
"""

import json
import os
from typing import Any

import numpy as np

from . import density, gaussian, grids, matrices
from .mixture import Mixture
from .precision import digits, mp, variances
from .table import FILE

GRIDS = grids.named()
WIDE = [0.0, 1e-6, 1e-2, 1.0, 1e3, 1e6]

MIXTURES = {
    "bimodal": ([0.5, 0.5], [-1.0, 1.0], [0.01, 0.01]),
    "lopsided": ([0.3, 0.7], [-1.0, 2.0], [0.01, 0.09]),
    "three": ([0.2, 0.5, 0.3], [-3.0, 0.25, 2.0], [0.04, 1.0, 0.25]),
    "two points": ([0.5, 0.5], [-1.0, 1.0], [0.0, 0.0]),
    "nearly normal": ([0.5, 0.5], [-0.25, 0.5], [1.0, 0.5]),
    "rare mode": ([0.999, 0.001], [0.0, 4.0], [0.25, 0.0625]),
    "far apart": ([0.5, 0.5], [-5.0, 5.0], [1.0, 1.0]),
}

MIXTURE_DESIGNS = [
    ("bimodal", "edm-20", 1.0, 0.0),
    ("bimodal", "song-20", 1.0, 0.0),
    ("bimodal", "edm-10", 1.0, 0.0),
    ("bimodal", "edm-1", 1.0, 0.0),
    ("bimodal", "random-12-narrow", 1.0, 0.0),
    ("bimodal", "song-100", 1.0, 0.0),
    ("bimodal", "edm-10", 0.9, 0.0),
    ("bimodal", "song-10", 1.0, 0.3),
    ("bimodal", "edm-8-mild", 3.0, 0.1),  # folds
    ("lopsided", "edm-10", 1.0, 0.0),
    ("three", "song-10", 1.0, 0.0),
    ("two points", "edm-10-narrow", 1.0, 0.0),
    ("nearly normal", "edm-20", 1.0, 0.0),
    ("nearly normal", "song-12-narrow", 1.25, -0.2),
    ("rare mode", "edm-20", 1.0, 0.0),
    ("far apart", "song-20", 1.0, 0.0),
]


def hexes(values: Any) -> Any:
    """Nested lists of hex floats."""
    array = np.asarray(values, dtype=np.float64)
    return float(array).hex() if array.ndim == 0 else [hexes(entry) for entry in array]


def gaussian_designs() -> list[tuple[Any, ...]]:
    """(name, grid, eigenvalues, mean, factor, shift) of the Gaussian table."""
    base = [0.25]
    rows: list[tuple[Any, ...]] = [
        (f"N(0, .25), {grid}", grid, base, [0.0], 1.0, [0.0])
        for grid in ("edm-10", "song-10", "edm-50", "song-50", "edm-500", "song-500", "edm-1")
    ]
    for lam in (0.0, 1e-6, 1e-4, 1e-2, 1.0, 1e3, 1e6):
        rows += [
            (f"N(0, {lam:g}), {g}", g, [lam], [0.0], 1.0, [0.0]) for g in ("edm-20", "song-100")
        ]
    rows += [
        (f"Dirac at 1, {grid}", grid, [0.0], [1.0], 1.0, [0.0]) for grid in ("edm-5", "song-500")
    ]
    mean = [1.0, -0.5, 2.0, 0.0, 30.0, -1000.0]
    rows += [
        (f"six eigenvalues, {grid}", grid, WIDE, mean, 1.0, [0.0] * 6)
        for grid in ("edm-2", "edm-100", "song-20", "random-3", "random-30", "random-200")
    ]
    rows += [
        ("three, no mean", "song-5", [1e-6, 0.5, 9.0], [0.0] * 3, 1.0, [0.0] * 3),
        ("two, mean", "random-7", [0.1, 0.2], [0.3, -0.3], 1.0, [0.0] * 2),
        ("two, random-30", "random-30", [0.0, 4.0], [0.0, 1.0], 1.0, [0.0] * 2),
        ("four, edm-500", "edm-500", [0.0, 1e-4, 0.25, 100.0], [1.0] * 4, 1.0, [0.0] * 4),
        ("factor .9", "edm-20", base, [0.0], 0.9, [0.0]),
        ("factor 1.01", "song-50", base, [0.5], 1.01, [0.0]),
        ("factor 3", "edm-10-narrow", [1.0], [0.5], 3.0, [0.0]),
        ("factor 0", "edm-3-short", base, [0.5], 0.0, [0.0]),
        ("shift", "edm-10", base, [0.5], 1.0, [0.25]),
        ("factor and shift", "random-30", [0.0, 1e-2, 4.0], [1.0, 0.0, -2.0], 0.95, [0.1, 0.0, -1]),
        ("tiny shift", "song-100", [1.0], [0.0], 1.0, [1e-8]),
    ]
    return rows


def gaussian_row(
    name: str, grid: str, lam: Any, m: Any, factor: float, shift: Any
) -> dict[str, Any]:
    """One row of "gaussian"."""
    result = gaussian.errors(lam, m, variances(GRIDS[grid]), factor, shift)
    row: dict[str, Any] = {"name": name, "grid": grid, "steps": len(GRIDS[grid]) - 1}
    row |= {"eigenvalues": hexes(lam), "mean": hexes(m), "factor": hexes(factor)}
    row |= {"shift": hexes(shift)}
    row |= {key: digits(value) for key, value in result._asdict().items() if key != "conditions"}
    return row | {"conditions": [digits(value) for value in result.conditions]}


def affine_row(name: str, grid: str, dim: int, seed: int, size: float) -> dict[str, Any]:
    """One row of "affine": the exact slopes of random data, rounded, plus random matrices."""
    rng = np.random.default_rng(seed)
    sigmas = np.asarray(GRIDS[grid])
    root = rng.normal(size=(dim, dim))
    covariance = np.round(root @ root.T * 64) / 64
    mean = np.round(rng.normal(size=dim) * 64) / 64
    inverses = [np.linalg.inv(covariance + s**2 * np.eye(dim)) for s in sigmas[:-1]]
    noise = rng.normal(size=(len(inverses), dim, dim)) * size
    slopes = [-k @ (np.eye(dim) + e) for k, e in zip(inverses, noise, strict=True)]
    intercepts = [k @ mean + size * rng.normal(size=dim) @ k for k in inverses]
    result = matrices.errors(mean, covariance, variances(sigmas), slopes, intercepts)
    row: dict[str, Any] = {"name": name, "grid": grid, "steps": len(sigmas) - 1}
    row |= {"mean": hexes(mean), "covariance": hexes(covariance)}
    row |= {"slopes": hexes(slopes), "intercepts": hexes(intercepts)}
    scalars = ("initialization", "score", "discretization", "path_kl", "marginal_kl", "w2")
    row |= {key: digits(getattr(result, key)) for key in scalars}
    row["law_mean"] = [digits(x) for x in result.mean]
    return row | {"law_covariance": [[digits(x) for x in r] for r in result.covariance.tolist()]}


def density_numbers(law: tuple[Any, ...], sigmas: Any, factor: float, shift: float) -> Any:
    """Marginal KL and W2 by the density twin at resolutions 4 and 6."""
    data = density.Mixture(*law)

    def score(x: Any, sigma: float) -> Any:
        return factor * data.score(x, sigma) + shift

    target = data.noisy(sigmas[-1] ** 2)
    coarse, fine = (density.propagate(score, sigmas, r) for r in (4.0, 6.0))
    kls = [density.marginal_kl(q, target, r) for q, r in ((coarse, 16.0), (fine, 24.0))]
    w2s = [density.w2(q, target, r) for q, r in ((coarse, 4.0), (fine, 6.0))]
    return kls[1], abs(kls[1] - kls[0]), w2s[1], abs(w2s[1] - w2s[0])


def mixture_row(kind: str, grid: str, factor: float, shift: float) -> dict[str, Any]:
    """One row of "mixture"."""
    law, sigmas = MIXTURES[kind], GRIDS[grid]
    data, levels = Mixture(*law), variances(sigmas)
    label = f"{kind}, {grid}, factor {factor:g}, shift {shift:g}"
    row: dict[str, Any] = {"name": label, "grid": grid, "steps": len(sigmas) - 1}
    row |= {k: hexes(x) for k, x in zip(("weights", "means", "variances"), law, strict=True)}
    row |= {"factor": hexes(factor), "shift": hexes(shift)}
    parts = {
        "initialization": data.initialization(levels),
        "score": data.score_error(levels, factor, shift),
        "discretization": data.discretization(levels),
    }
    row |= {key: digits(value) for key, value in parts.items()}
    row["path_kl"] = digits(mp.fsum(parts.values()))
    names = ("marginal_kl_float", "marginal_kl_spread", "w2_float", "w2_spread")
    values = (None,) * 4
    if len(sigmas) <= 21:
        values = tuple(map(hexes, density_numbers(law, sigmas, factor, shift)))
    return row | dict(zip(names, values, strict=True))


def level_row(kind: str, v: float) -> dict[str, Any]:
    """One row of "levels"."""
    data = Mixture(*MIXTURES[kind])
    row: dict[str, Any] = {"name": f"{kind}, v = {v:g}"}
    row |= {
        k: hexes(x) for k, x in zip(("weights", "means", "variances"), MIXTURES[kind], strict=True)
    }
    row["variance"] = hexes(v)
    for key in ("fisher_information", "fisher_information_slope", "mmse", "entropy"):
        row[key] = digits(getattr(data, key)(v))
    return row


def main() -> None:
    """Computes the table and writes it in one move."""
    affine = [("d = 2", "edm-5", 2, 1, 0.1), ("d = 3", "song-5", 3, 2, 0.1)]
    affine += [("d = 3, coarse", "edm-3-short", 3, 3, 1.0), ("d = 2, near", "edm-10", 2, 4, 1e-3)]
    table = {
        "grids": {name: hexes(grid) for name, grid in GRIDS.items()},
        "gaussian": [gaussian_row(*design) for design in gaussian_designs()],
        "affine": [affine_row(*design) for design in affine],
        "levels": [level_row(kind, v) for kind in MIXTURES for v in (4e-6, 0.01, 1.0, 100.0)],
        "mixture": [],
    }
    for design in MIXTURE_DESIGNS:
        row = mixture_row(*design)
        table["mixture"].append(row)
        print(row["name"], *(row[k] for k in ("discretization", "marginal_kl_float")), flush=True)
    lines = json.dumps(table, indent=0)
    FILE.with_suffix(".new").write_text(lines + "\n")
    os.replace(FILE.with_suffix(".new"), FILE)


if __name__ == "__main__":
    main()
