"""Grids that suit one sampler: of least error to leading order on N(m, l I).

A step's defect is c(sigma) delta^{p+1}, so that the best grid spends equal shares of
int |c (P_N/P)^noise / P|^{1/(p+1)} dsigma. For Euler's method on the flow that is the tangent law,
for the frozen-score sampler (l + v)^{-1/2} equidistant.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from design_space.bounds.sampler_orders import (
    Local,
    euler_maruyama_defect,
    frozen_defect,
    heun_defect,
    midpoint_defect,
    optimal_variance_defect,
    posterior_defect,
)
from design_space.schedules.schedule import Schedule

_TABLE = 8192  # cubic splines in log sigma on it leave 1e-12


class Order(NamedTuple):
    """What theory says of a sampler.

    Attributes:
      local: c, the coefficient of a step's defect.
      order: p, in W2; the KL has 2 p.
      noise: the noise over that of the reverse process.
      churn: s_churn.
    """

    local: Local
    order: int
    noise: float
    churn: float = 0.0


CHURN = 4.0
"""s_churn where its order is measured, at every noise level."""

ORDERS: Mapping[str, Order] = {
    "frozen": Order(frozen_defect, 1, 1.0),
    "euler-maruyama": Order(euler_maruyama_defect, 1, 1.0),
    "ancestral": Order(posterior_defect, 1, 1.0),
    "half-ancestral": Order(lambda values, s: posterior_defect(values, s, 0.5), 1, 0.25),
    "optimal-variance": Order(optimal_variance_defect, 1, 1.0),
    "ode-euler": Order(lambda values, s: posterior_defect(values, s, 0.0), 1, 0.0),
    "heun": Order(heun_defect, 2, 0.0),
    "midpoint": Order(midpoint_defect, 2, 0.0),
    "churn": Order(heun_defect, 2, 0.0, CHURN),
}
"""Orders by the name of the sampler; half-ancestral has eta = 1/2, churn s_noise = 1."""

ONE_SIGNED = ("frozen", "ancestral", "ode-euler", "heun", "midpoint")
"""Samplers whose defect has one sign, so that a best grid in this sense exists."""


def own_grid(
    sampler: str, data_variance: float, steps: int, low: float = 0.002, high: float = 80.0
) -> Schedule:
    """The grid of least leading error of a sampler on N(m, l I).

    Args:
      sampler: one of ONE_SIGNED.
      data_variance: l, above 0.
      steps: N.
      low: the last noise level.
      high: the first one.
    """
    of = ORDERS[sampler]
    x = np.linspace(np.log(low), np.log(high), _TABLE)
    sigma = np.exp(x)
    size = np.abs(np.asarray(of.local(jnp.asarray(data_variance), jnp.asarray(sigma))))
    size = size * (data_variance + sigma**2) ** -(1 + of.noise)
    spent = CubicSpline(x, sigma * size ** (1 / (of.order + 1))).antiderivative()(x)
    levels = PchipInterpolator(spent, x)(np.linspace(spent[-1], 0.0, steps + 1))
    sigmas = np.exp(levels)
    sigmas[0], sigmas[-1] = high, low
    return Schedule.from_sigmas(sigmas)
