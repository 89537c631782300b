"""What a page draws: the numbers and arrays of one state, plain NumPy."""

from dataclasses import dataclass

import numpy as np

from design_space.explorer.state import State

QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")
"""The names in `Numbers.values`, in the order of `design-space evaluate`."""


@dataclass(frozen=True)
class Value:
    """One quantity with its error; see `numerics.estimate.Estimate`.

    Attributes:
      value: the number (KL in nats, W2 in data units); None where it cannot be had.
      error: the size of its error, in the same unit; None likewise.
      method: "closed form", "quadrature" or "monte carlo"; None likewise.
      reason: why it cannot be had, or None.
      pending: True if a refinement will have it, or have it with a smaller error.
    """

    value: float | None
    error: float | None
    method: str | None
    reason: str | None = None
    pending: bool = False


@dataclass(frozen=True)
class Bound:
    """One bound of the theory beside the exact quantity that it bounds.

    Attributes:
      statement: its id, for instance "theorem-2-corrected".
      label: its name on the page.
      form: "as printed", "corrected" or "sharpened".
      total: right-hand side, in nats; None where it cannot be had.
      terms: its parts for "initialization", "score" and "discretization", in nats.
      exact: the quantity that `total` bounds, "path_kl"; each part bounds the quantity of its name.
    """

    statement: str
    label: str
    form: str
    total: float | None
    terms: dict[str, float]
    exact: str = "path_kl"


@dataclass(frozen=True)
class FisherCurve:
    """The picture of E_D, step by step, on an axis of ln sigma.

    E_D of step j is the area between `moving` and `frozen` over ln sigma: with dv = 2 sigma^2
    d ln sigma, (1/2) int (I(v) - I(v_j)) dv = int (sigma^2 I(sigma^2) - sigma^2 I(v_j)) d ln sigma.

    Attributes:
      sigmas: from sigma_j down to sigma_{j+1}, shape [steps, points], in data units.
      moving: sigma^2 I(sigma^2), the size of the exact score, shape [steps, points], no unit.
      frozen: sigma^2 I(v_j), the size of the score that the step uses, same shape.
      error: largest error of `moving`.
    """

    sigmas: np.ndarray
    moving: np.ndarray
    frozen: np.ndarray
    error: float


@dataclass(frozen=True)
class Laws:
    """The law of the sampler after every step beside the exact law, as densities.

    Attributes:
      x: points on a scale of each step, ascending, shape [steps + 1, points], in data units.
      sampler: density of the sampler after j steps, same shape, in inverse data units; NaN in rows
        that are not known (see `missing`).
      exact: density p_{v_j} of data plus noise of level sigma_j, same shape.
      data: density of the data themselves on the last row of x, shape [points].
      means: mean of the sampler after j steps, shape [steps + 1].
      stds: its standard deviation, same shape.
      exact_mean: mean of the data.
      exact_stds: standard deviation of p_{v_j}, shape [steps + 1].
      missing: why rows of `sampler` are NaN, or None.
    """

    x: np.ndarray
    sampler: np.ndarray
    exact: np.ndarray
    data: np.ndarray
    means: np.ndarray
    stds: np.ndarray
    exact_mean: float
    exact_stds: np.ndarray
    missing: str | None = None


@dataclass(frozen=True)
class Numbers:
    """Everything that one state has.

    Attributes:
      state: the state.
      backward_sigmas: noise levels in the sampler's order, descending, shape [steps + 1].
      initialization: E_I, which comes before the first step, in nats.
      discretization_steps: what each step adds to E_D, in nats, shape [steps]; NaN where the path
        terms cannot be had, with the reason in `values`.
      score_steps: what each step adds to E_S, likewise; with other samplers than frozen a term may
        be negative.
      fisher: the picture of E_D of the frozen sampler.
      values: the six quantities of the budget, by the names in QUANTITIES.
      bounds: the bounds, for the frozen sampler; else empty.
      laws: the law of the sampler at every step.
      evaluations: how often the sampler asks the score.
      final: True if no refinement will follow.
      notes: sentences about what these numbers are, for the page.
    """

    state: State
    backward_sigmas: np.ndarray
    initialization: float
    discretization_steps: np.ndarray
    score_steps: np.ndarray
    fisher: FisherCurve
    values: dict[str, Value]
    bounds: tuple[Bound, ...]
    laws: Laws
    evaluations: int
    final: bool
    notes: tuple[str, ...] = ()
