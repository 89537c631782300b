"""The rate at which the loss falls, against n, N, d, m and the learning rate, beside Theorem 1's.

Source: Theorem 1 and Lemma 1 of arXiv 2406.12839, with the printed rate for each unit of learning
rate C5 a_{j*} m d^{(a0-1)/2}/(n^3 N^2), a0 in (1/2, 1), and the printed learning rate
h = n N/(m min_j a_j).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from analyses.training_designs import (
    WEIGHTINGS,
    TrainingDesign,
    exponent,
    measured,
    of_seeds,
)
from design_space.arrays import Array
from design_space.numerics.statistics import geometric_mean
from design_space.scores.relu_network import ReluNetwork
from design_space.training.descent import GradientDescent
from design_space.training.learning_rate import printed_learning_rate
from design_space.training.objective import DenoisingData
from design_space.training.tangent_kernel import loss_kernel, weighted_residuals

RATIO = 0.1
"""To what part of its initial value the loss falls where an average rate is measured."""

PRINTED = {
    "n": {"early": (-3.0, -3.0), "per step": (-2.0, -2.0), "excess": (0.0, 0.0)},
    "N": {"early": (-2.0, -2.0), "per step": (-1.0, -1.0), "excess": (0.0, 0.0)},
    "d": {"early": (-0.25, 0.0), "per step": (-0.25, 0.0), "excess": (0.0, 0.0)},
    "m": {"early": (1.0, 1.0), "per step": (0.0, 0.0), "excess": (0.0, 0.0)},
    "h": {"per step": (1.0, 1.0)},
}
"""Printed exponents: of the rate ("early", also for "late" and "average"), of the rate per step at
the printed learning rate, and of that learning rate over the stability limit, were it stable."""

_FIELDS = {"n": "points", "N": "levels", "d": "dim", "m": "width"}
_HALVINGS = 60


class Rates(NamedTuple):
    """Rates of one network, for each unit of learning rate, at initialization.

    Attributes:
      early: |grad loss|^2/loss, the rate at which the loss begins to fall.
      late: 2 lambda_min(K), the rate in the end.
      average: ln(1/RATIO)/t, t the time that gradient flow takes with this kernel to RATIO.
      per_step: the average rate at half of the stability limit, h = 1/lambda_max(K).
      excess: the printed learning rate over the stability limit 2/lambda_max(K).
    """

    early: Any
    late: Any
    average: Any
    per_step: Any
    excess: Any


def start(model: ReluNetwork, data: DenoisingData) -> tuple[Array, Array, Array]:
    """K, rho and the printed learning rate of a network at initialization."""
    rho = weighted_residuals(model, data).ravel()
    return loss_kernel(model, data), rho, printed_learning_rate(data, model.width)


def rates(designs: Sequence[TrainingDesign]) -> Rates:
    """The rates of gradient flow rho' = -K rho on the loss |rho|^2/(2n), at initialization.

    With rho = sum_q c_q u_q the loss is sum_q c_q^2 exp(-2 lambda_q t)/(2n), and
    |grad loss|^2/loss = 2 rho'K rho/|rho|^2.

    Args:
      designs: of one shape.
    """
    kernels, rho, printed = measured(start, designs)
    eigenvalues, basis = np.linalg.eigh(kernels)
    shares = np.einsum("srq,sr->sq", basis, rho) ** 2
    shares /= shares.sum(axis=1, keepdims=True)
    # Between the times that the largest and the smallest rate alone would take.
    low, high = (np.log(-np.log(RATIO) / (2 * eigenvalues[:, end])) for end in (-1, 0))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        left = np.sum(shares * np.exp(-2 * eigenvalues * np.exp(middle)[:, None]), axis=1)
        low, high = np.where(left > RATIO, middle, low), np.where(left > RATIO, high, middle)
    average, most = -np.log(RATIO) / np.exp((low + high) / 2), eigenvalues[:, -1]
    early = 2 * np.sum(shares * eigenvalues, axis=1)
    return Rates(early, 2 * eigenvalues[:, 0], average, average / most, printed * most / 2)


class Run(NamedTuple):
    """A run of gradient descent, until the loss has fallen to RATIO or a number of steps.

    Attributes:
      steps: k, how many were done.
      fall: -ln(loss(k)/loss(0)).
      peak: the largest loss on the way, over loss(0).
      kernel: K at the end.
    """

    steps: Any
    fall: Any
    peak: Any
    kernel: Any


def descended(model: ReluNetwork, data: DenoisingData, learning_rate: Any, most: Any) -> Run:
    """Gradient descent until loss(k) <= RATIO loss(0), k = `most`, or the loss is lost."""
    descent = GradientDescent(model, data, learning_rate)

    def on(now: tuple[Any, Array, Array]) -> Array:
        state, loss, _ = now
        going = (state.step < most) & (state.diverged_at < 0) & jnp.isfinite(loss)
        return going & (loss > RATIO * state.initial_loss)

    def once(now: tuple[Any, Array, Array]) -> tuple[Any, Array, Array]:
        state, _ = descent.step(now[0])
        loss = descent.loss(state.weights)[0]
        return state, loss, jnp.maximum(now[2], loss)

    begin = descent.init()
    first = begin.initial_loss
    state, loss, peak = jax.lax.while_loop(on, once, (begin, first, first))
    kernel = loss_kernel(model.with_weights(state.weights), data)
    return Run(state.step, jnp.log(first) - jnp.log(loss), peak / first, kernel)


def ends(designs: Sequence[TrainingDesign]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The stability limit, the printed learning rate, and the kernel's average rate per unit."""
    found = rates(designs)
    limit = 2 * found.per_step / found.average
    return limit, limit * found.excess, found.average


def _designs(piece: Settings, **changed: int) -> tuple[TrainingDesign, ...]:
    return of_seeds(piece["seeds"], **(dict(piece["sizes"]) | changed))


def _points(x: float, values: np.ndarray) -> dict[str, float]:
    """The geometric mean over seeds, with its 99 % interval."""
    found = geometric_mean(values)._asdict()
    return {"x": x} | {name: float(value) for name, value in found.items()}


def _fit(part: str, quantity: str, x: Sequence[float], values: np.ndarray) -> pd.DataFrame:
    """Points and slope of one quantity against one size; values are [sizes, seeds]."""
    printed = PRINTED[part].get(quantity, PRINTED[part].get("early", (np.nan, np.nan)))
    rows = [_points(*pair) | {"row": "point"} for pair in zip(x, values, strict=True)]
    slope, error = exponent(x, values)
    ends = dict(zip(("printed_low", "printed_high"), printed, strict=True))
    rows.append(
        {"row": "slope", "value": slope, "low": slope - error, "high": slope + error} | ends
    )
    return pd.DataFrame(rows).assign(quantity=quantity)


def _against(piece: Settings) -> pd.DataFrame:
    """Every rate against one size; the printed learning rate's also for each weighting."""
    part, sizes = piece["part"], piece["values"]
    designs = [_designs(piece, **{_FIELDS[part]: size}) for size in sizes]
    found = [rates(one) for one in designs]
    weightings = np.array([design.weighting for design in designs[0]])
    tables = []
    for i, name in enumerate(Rates._fields):
        values = np.stack([one[i] for one in found])
        tables.append(_fit(part, name.replace("_", " "), sizes, values).assign(weighting="all"))
    for weighting in WEIGHTINGS:
        own = values[:, weightings == weighting]  # of the last field, the excess
        tables.append(_fit(part, "excess", sizes, own).assign(weighting=weighting))
    return pd.concat(tables, ignore_index=True)


def _against_rate(piece: Settings) -> pd.DataFrame:
    """Gradient descent at parts of the stability limit: the mean rate for each step."""
    designs = _designs(piece)
    limits, _, average = ends(designs)
    most = np.full(len(designs), piece["most"])
    runs = [measured(descended, designs, share * limits, most) for share in piece["shares"]]
    steps, falls = np.stack([run.steps for run in runs]), np.stack([run.fall for run in runs])
    reached = falls >= -np.log(RATIO)
    fitted = [i for i in range(len(runs)) if reached[i].all()]
    shares = [piece["shares"][i] for i in fitted]
    whole = falls[fitted] / steps[fitted]
    small = [i for i, share in enumerate(shares) if share <= 0.5]
    table = _fit("h", "per step", [shares[i] for i in small], whole[small])
    rest = [
        _points(shares[i], whole[i]) | {"row": "point", "quantity": "per step"}
        for i in range(len(shares))
        if i not in small
    ]
    unit = whole[0] / (shares[0] * limits) / average
    rest.append(_points(shares[0], unit) | {"row": "point", "quantity": "over kernel"})
    for i, share in enumerate(piece["shares"]):
        row = {"row": "count", "x": share, "quantity": "reached", "value": reached[i].sum()}
        rest.append(row)
    return pd.concat([table, pd.DataFrame(rest)], ignore_index=True).assign(weighting="all")


def _flatter(run: Run, limits: np.ndarray) -> float:
    """The median of lambda_max(K) at the end, over that at initialization."""
    return float(np.median(np.linalg.eigvalsh(run.kernel)[:, -1] * limits / 2))


def _beyond(piece: Settings) -> pd.DataFrame:
    """Gradient descent above the stability limit, and at the printed learning rate."""
    designs = _designs(piece)
    limits, printed, _ = ends(designs)
    most = np.full(len(designs), piece["most"])
    tried = {str(share): share * limits for share in piece["shares"]} | {"printed": printed}
    rows = []
    for name, learning_rates in tried.items():
        run = measured(descended, designs, learning_rates, most)
        lost = ~(run.fall >= -np.log(RATIO))
        row = {"row": "count", "quantity": "lost" if name != "printed" else "lost, printed"}
        over = float(np.exp(np.mean(np.log(learning_rates / limits))))
        rows.append(row | {"x": over, "value": float(lost.sum()), "low": float(run.steps.max())})
        if not lost.any():
            found = {"rose": float((run.peak > 1).sum()), "flatter": _flatter(run, limits)}
            rows += [
                {"row": "count", "quantity": k, "x": over, "value": v} for k, v in found.items()
            ]
    return pd.DataFrame(rows).assign(weighting="all")


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece; `part` is the variable, `row` what a row holds."""
    how = {"h": _against_rate, "beyond": _beyond}.get(piece["part"], _against)
    return how(piece).assign(part=piece["part"], seeds=piece["seeds"])


def pieces(settings: Settings) -> Sequence[dict[str, Any]]:
    """One piece for each variable, and one beyond the stability limit."""
    common = {"seeds": settings["seeds"]}
    return [common | {"part": part} | dict(own) for part, own in settings["parts"].items()]


def _rows(table: pd.DataFrame, quantity: str, row: str, weighting: str = "all") -> pd.DataFrame:
    """Rows of one quantity, by variable."""
    of = (table["quantity"] == quantity) & (table["row"] == row)
    return table[of & (table["weighting"] == weighting)].set_index("part")


def _fitted(
    table: pd.DataFrame, part: str, quantity: str, weighting: str = "all", digits: int = 2
) -> str:
    """An exponent with its interval, in words."""
    found = _rows(table, quantity, "slope", weighting).loc[part]
    error = (found["high"] - found["low"]) / 2
    return f"{found['value']:.{digits}f} ± {error:.{digits}f}"


def _too_large(table: pd.DataFrame) -> str:
    """What the printed learning rate does."""
    above = []
    for weighting in ("equal", "bell"):
        points = _rows(table, "excess", "point", weighting).loc[["n", "N"]]["value"]
        growth = (f"{_fitted(table, part, 'excess', weighting)} in {part}" for part in ("n", "N"))
        above.append(
            f"{points.min():.3g} to {points.max():.3g} times ({weighting}), exponents "
            f"{' and '.join(growth)}"
        )
    lost = _rows(table, "lost, printed", "count").iloc[0]
    flatter = _rows(table, "flatter", "count").sort_values("x").tail(1)
    beyond = "".join(
        f" At {x:.3g} times the limit all runs reach a tenth; lambda_max(K) has fallen to "
        f"{value:.2f} of its start there (median)."
        for x, value in zip(flatter["x"], flatter["value"], strict=True)
    )
    return (
        f"The printed learning rate is above the stability limit: {'; '.join(above)}. There "
        f"{int(lost['value'])} of {int(lost['seeds'])} runs do not reach a tenth of their "
        f"loss.{beyond}"
    )


def finding(table: pd.DataFrame) -> str:
    """Fitted exponents beside the printed ones, and what the printed learning rate does."""
    words = []
    for part in ("m", "n", "N", "d"):
        low, high = PRINTED[part]["early"]
        printed = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        three = (f"{_fitted(table, part, q)} ({q})" for q in ("early", "average", "late"))
        words.append(f"in {part} {', '.join(three)}, printed {printed}")
    per_step = " and ".join(f"{_fitted(table, p, 'per step')} in {p}" for p in ("n", "N"))
    over = _rows(table, "over kernel", "point").iloc[0]
    return (
        f"Exponents of the rate for each unit of learning rate, with 99 % intervals over "
        f"{int(table['seeds'].iloc[0])} seeds: {'; '.join(words)}. In the learning rate: "
        f"{_fitted(table, 'h', 'per step', digits=4)} up to half of the stability limit, printed "
        f"1. For each step at half of the stability limit: {per_step}; printed -2 and -1. Gradient "
        f"descent's mean rate to a tenth is {over['value']:.3f} ({over['low']:.3f} to "
        f"{over['high']:.3f}) of the frozen kernel's. {_too_large(table)}"
    )


def _preset(seeds: int, width: int, sizes: dict[str, list[int]], shares: list) -> dict[str, Any]:
    usual = {"points": 4, "levels": 4, "dim": 8}
    parts: dict[str, Any] = {
        part: {"sizes": usual | {"width": width}, "values": values}
        for part, values in sizes.items()
    }
    runs = {"sizes": usual | {"width": 128}}
    parts["h"] = runs | {"shares": shares, "most": 20_000}
    parts["beyond"] = runs | {"shares": [1.5, 2.0, 4.0, 6.0, 8.0, 16.0], "most": 1000}
    return {"seeds": seeds, "parts": parts}


EXPERIMENT = Experiment(
    name="rate_exponents",
    title="How fast training converges, against Theorem 1",
    file=Path(__file__),
    presets={
        "quick": _preset(
            32,
            256,
            {"m": [64, 128, 256, 512, 1024], "n": [2, 4, 8, 16], "N": [2, 4, 8, 16]}
            | {"d": [4, 8, 16, 24]},
            [0.125, 0.25, 0.5, 0.95],
        ),
        "full": _preset(
            64,
            2048,
            {"m": [64, 128, 256, 512, 1024, 2048, 4096], "n": [2, 4, 8, 16, 32]}
            | {"N": [2, 4, 8, 16, 32], "d": [4, 8, 16, 32, 64]},
            [1 / 64, 1 / 32, 1 / 16, 0.125, 0.25, 0.5, 0.95],
        ),
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
)
