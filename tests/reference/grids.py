"""Grids of noise levels for the reference table, in plain NumPy, sigma_0 > ... > sigma_N."""

import numpy as np


def edm(steps: int, low: float = 0.002, high: float = 80.0, rho: float = 7.0) -> list[float]:
    """sigma_j = (high^{1/rho} + (j/N)(low^{1/rho} - high^{1/rho}))^rho, end points exact."""
    share = np.arange(steps + 1) / steps
    sigmas = (high ** (1 / rho) + share * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return [high, *sigmas[1:-1].tolist(), low]


def song(steps: int, low: float = 0.002, high: float = 80.0) -> list[float]:
    """sigma_j = high (low/high)^{j/N}, end points exact."""
    sigmas = high * (low / high) ** (np.arange(steps + 1) / steps)
    return [high, *sigmas[1:-1].tolist(), low]


def random(steps: int, seed: int, low: float = 0.002, high: float = 80.0) -> list[float]:
    """Inner levels drawn uniformly in log sigma."""
    inner = np.random.default_rng(seed).uniform(np.log(low), np.log(high), steps - 1)
    return [high, *np.exp(np.sort(inner)[::-1]).tolist(), low]


def named() -> dict[str, list[float]]:
    """The grids of numbers.json."""
    grids = {f"edm-{n}": edm(n) for n in (1, 2, 5, 10, 20, 50, 100, 500)}
    grids |= {f"song-{n}": song(n) for n in (1, 2, 5, 10, 20, 50, 100, 500)}
    grids |= {f"random-{n}": random(n, seed) for seed, n in enumerate((3, 7, 30, 200))}
    return grids | {
        "edm-10-narrow": edm(10, 0.05, 20.0),
        "song-12-narrow": song(12, 0.1, 10.0),
        "random-12-narrow": random(12, 5, 0.1, 10.0),
        "edm-8-mild": edm(8, 0.3, 5.0, 3.0),
        "edm-3-short": edm(3, 0.5, 2.0, 3.0),
    }
