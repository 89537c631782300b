"""What realism and diversity of a sampler's law are measured by, and the curve between them."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import EPS, Array, Float
from design_space.numerics.estimate import Estimate

ALPHA = 1e-3
"""Mass of the data law in the region where it has almost none, unless given."""

Classifier = Callable[[Array, Array], Array]
"""A function (x, v) -> log p_v(c | x) for one point x, of one class c or of all of them."""

ANGLES = np.pi / 2 * np.arange(1, 64) / 64
"""Angles t of the curve; its slopes l = tan t lie symmetrically about 1."""

SMALLEST, LARGEST = 1e-9, 0.5

_NAMES = (
    "valley_mass",
    "between_mass",
    "precision",
    "recall",
    "curve_precision",
    "curve_recall",
    "f_8",
    "f_eighth",
    "mode_weights",
    "mode_means",
    "mode_variances",
    "effective_modes",
    "kl",
    "reverse_kl",
    "w2",
    "log_threshold",
    "data_between_mass",
    "data_mode_weights",
    "data_mode_means",
    "data_mode_variances",
    "data_effective_modes",
)


class Realism(eqx.Module):
    """How realistic and how diverse the law q of a sampler is beside p = p_{v_N}, the data law.

    L is the region {p <= c} of low density that holds the mass alpha of the data. p alone defines
    it: it is what the highest-density region of mass 1 - alpha leaves out. With r_k(x) the
    posterior probability of component k at x:

    Attributes:
      valley_mass: Q(L), which is alpha for q = p.
      between_mass: Q(L and the convex hull of the component means); on the line, between the lowest
        and the highest center.
      recall: P({q > d}) with Q({q <= d}) = alpha, which is 1 - alpha for q = p.
      curve_precision: a(l) = int min(l p, q) at the slopes l = tan(ANGLES), shape [angles].
      curve_recall: b(l) = int min(p, q / l) = a(l) / l, shape [angles].
      f_8: the largest 65 a b / (64 a + b) over all l, mostly recall; 1 for q = p.
      f_eighth: the same with 1/8 for 8, mostly precision.
      mode_weights: E_q r_k, shape [components].
      mode_means: E_q[r_k Y] / E_q r_k, shape [components, dim], in data units.
      mode_variances: of Y under q r_k / E_q r_k, coordinate by coordinate, shape
        [components, dim], in squared data units.
      effective_modes: exp of the entropy of the mode weights.
      kl: KL(p | q), in nats; infinite where q misses data.
      reverse_kl: KL(q | p), in nats; large where q makes what data never are.
      w2: W2(p, q), in data units.
      log_threshold: log c.
      data_between_mass: P(L and the hull).
      data_mode_weights: the same under p: w_k.
      data_mode_means: m_k.
      data_mode_variances: the diagonals of S_k + v_N.
      data_effective_modes: exp of the entropy of the w_k.
      class_probabilities: E_q p_v(c | Y), if a classifier was given.
      alpha: the mass of L under p.
      samples: draws of each law where Monte Carlo is the only way.
      seed: seed of what is sampled.

    Source: the region in place of unions of balls of Kynkaanniemi et al. (1904.06991); the curve of
    Sajjadi et al. (1806.00035).
    """

    valley_mass: Estimate
    between_mass: Estimate
    recall: Estimate
    curve_precision: Estimate
    curve_recall: Estimate
    f_8: Estimate
    f_eighth: Estimate
    mode_weights: Estimate
    mode_means: Estimate
    mode_variances: Estimate
    effective_modes: Estimate
    kl: Estimate
    reverse_kl: Estimate
    w2: Estimate
    log_threshold: Estimate
    data_between_mass: Estimate
    data_mode_weights: Estimate
    data_mode_means: Estimate
    data_mode_variances: Estimate
    data_effective_modes: Estimate
    class_probabilities: Estimate | None
    alpha: float = eqx.field(static=True)
    samples: int | None = eqx.field(static=True, default=None)
    seed: int | None = eqx.field(static=True, default=None)

    @property
    def precision(self) -> Estimate:
        """1 - Q(L): how much of q lies where data are, which is 1 - alpha for q = p."""
        valley = self.valley_mass
        return Estimate(1 - valley.value, valley.error, valley.method, reason=valley.reason)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: {"value", "error", "method"} by name, lists where there are several numbers;
        nulls and a "reason" where one cannot be had.
        """
        row: dict[str, Any] = {name: entry(getattr(self, name)) for name in _NAMES}
        if self.class_probabilities is not None:
            row["class_probabilities"] = entry(self.class_probabilities)
        row["curve_angles"] = ANGLES.tolist()
        row["alpha"], row["seed"], row["samples"] = self.alpha, self.seed, self.samples
        return row


def entry(estimate: Estimate) -> dict[str, object]:
    """An estimate of a number or of an array of them as plain data."""
    if estimate.value.ndim == 0 or estimate.reason is not None:
        return estimate.to_dict()
    value, error = np.asarray(estimate.value).tolist(), np.asarray(estimate.error).tolist()
    return {"value": value, "error": error, "method": estimate.method}


def check_alpha(alpha: Any) -> float:
    """Checks the mass of the region of low density.

    Raises:
      ValueError: if it is not a number from 1e-9 to 1/2.
    """
    value = float(checks.finite("alpha", alpha))
    if not SMALLEST <= value <= LARGEST:
        domain = f"from {SMALLEST:g} to {LARGEST:g}"
        raise checks.refusal("alpha", value, domain, "0.001 leaves out what data hardly ever are")
    return value


def effective_modes(weights: Estimate) -> Estimate:
    """The exponential of the entropy of mode weights, from 1 to their number, with its error.

    Args:
      weights: of the modes, shape [components], summing to 1.
    """
    w, error = np.asarray(weights.value), np.asarray(weights.error)
    low, high = np.clip(w - error, 0, 1), np.clip(w + error, 0, 1)

    def part(x: np.ndarray) -> np.ndarray:
        return -x * np.log(np.where(x > 0, x, 1.0))

    # -x log x rises up to 1/e and falls from there: its range on an interval is known.
    ends = np.stack([part(low), part(high)])
    top = np.where((low < np.exp(-1)) & (high > np.exp(-1)), np.exp(-1), np.max(ends, axis=0))
    here = part(w)
    off = float(np.sum(np.maximum(top - here, here - np.min(ends, axis=0))))
    value = float(np.exp(np.sum(here)))
    wrong = value * np.expm1(off) + 8 * EPS * len(w) * value
    return Estimate(jnp.asarray(value), jnp.asarray(wrong), weights.method)


def data_modes(
    log_weights: Float[Array, " components"],
    means: Float[Array, "components dim"],
    variances: Float[Array, "components dim"],
) -> dict[str, Any]:
    """The modes of the data law, of which every number is known.

    Args:
      log_weights: log w_k.
      means: m_k.
      variances: the diagonal of S_k + v_N.
    """

    def known(value: Array) -> Estimate:
        return Estimate(value, 64 * EPS * jnp.abs(value), "closed form")

    weights = known(jnp.exp(log_weights))
    return {
        "data_mode_weights": weights,
        "data_mode_means": known(means),
        "data_mode_variances": known(variances),
        "data_effective_modes": effective_modes(weights),
    }
