"""The Fisher information of a mixture on the line at every noise level, tabulated once.

In u = ln v the functions v I, v^2 |I'| and mmse are smooth: their singularities lie at a distance
of pi from the real axis (v = -s_k^2), so that on panels of one e-fold polynomials of degree 7
leave a relative 1e-8. The error that is stated is measured: how far the polynomials are from the
quadrature between their nodes.
"""

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from design_space.explorer.controls import CONTROLS
from design_space.explorer.typed_mixture import TypedMixture
from design_space.targets.line import Line, line_integrals

_ORDER = 8  # nodes per panel
_PANELS = 31  # with _ORDER nodes each and 8 checks, one call of 256 levels
_CHECKS = 8
_GAUSS = 8  # nodes of the rule over a step, per e-fold
_KEPT = 16  # tables that are kept

Values = Float[np.ndarray, "..."]


def _range() -> tuple[float, float]:
    """Ln v of the least and the largest noise level that the controls allow."""
    low, high = CONTROLS["sigma_min"].low, CONTROLS["sigma_max"].high
    assert low is not None
    assert high is not None
    return 2 * float(np.log(low)), 2 * float(np.log(high))


class Information(NamedTuple):
    """Functions of u = ln v by Chebyshev coefficients, shape [panels, order] each.

    Attributes:
      size: v I(v), from 0 to 1.
      slope: v^2 |I'(v)|.
      mmse: mmse(v)/v, from 0 to 1.
      error: largest error of each, absolute, in this order.
    """

    size: np.ndarray
    slope: np.ndarray
    mmse: np.ndarray
    error: tuple[float, float, float]

    def fisher(self, variances: Values) -> Values:
        """I(v).

        Args:
          variances: v.
        """
        return _evaluate(self.size, np.log(variances)) / variances

    def posterior(self, variances: Values) -> Values:
        """mmse(v).

        Args:
          variances: v.
        """
        return _evaluate(self.mmse, np.log(variances)) * variances

    def discretization(self, variances: Float[np.ndarray, " nodes"]) -> tuple[Values, Values]:
        """What each step of the frozen sampler adds to E_D, and its error; shape [steps] each.

        (1/2) int |I'(v)| (v - v_{j+1}) dv = (1/2) int v^2 |I'| (1 - v_{j+1}/v) d ln v.

        Args:
          variances: v_0 > ... > v_N.
        """
        unit, weights = np.polynomial.legendre.leggauss(_GAUSS)
        logs = np.log(variances)
        spans = logs[:-1] - logs[1:]
        parts = max(1, int(np.ceil(np.max(spans))))
        inside = ((np.arange(parts)[:, None] + (1 + unit) / 2) / parts).ravel()
        rise = spans[:, None] * inside
        share = 0.25 * np.tile(weights, parts) / parts * spans[:, None] * -np.expm1(-rise)
        found = np.sum(share * _evaluate(self.slope, logs[1:, None] + rise), axis=1)
        return found, self.error[1] * np.sum(share, axis=1) + 1e-14 * found


def _evaluate(coefficients: np.ndarray, u: Values) -> Values:
    """The piecewise polynomial at u, by Clenshaw's recurrence."""
    low, high = _range()
    place = (u - low) * (_PANELS / (high - low))
    panel = np.clip(place.astype(int), 0, _PANELS - 1)
    t = 2 * (place - panel) - 1
    own = coefficients[panel]
    after, last = np.zeros_like(t), np.zeros_like(t)
    for k in range(_ORDER - 1, 0, -1):
        after, last = 2 * t * after - last + own[..., k], after
    return t * after - last + own[..., 0]


@functools.lru_cache(maxsize=_KEPT)
def information(law: TypedMixture) -> Information:
    """The table of a mixture.

    Args:
      law: of the data.
    """
    low, high = _range()
    t = np.cos(np.pi * (np.arange(_ORDER) + 0.5) / _ORDER)
    width = (high - low) / _PANELS
    nodes = low + width * (np.arange(_PANELS)[:, None] + (1 + t) / 2)
    own = _scales(law)
    checks = np.clip(own, low, high)
    found = _integrals(law, np.exp(np.concatenate([nodes.ravel(), checks])))
    transform = np.polynomial.chebyshev.chebvander(t, _ORDER - 1)
    coefficients, errors = [], []
    for values in found:
        fitted = np.linalg.solve(transform, values[: nodes.size].reshape(nodes.shape).T).T
        apart = np.abs(_evaluate(fitted, checks) - values[nodes.size :])
        tail = np.max(np.abs(fitted[:, -1]))
        coefficients.append(fitted)
        errors.append(2 * float(np.max(apart) + tail) + 1e-14)
    size, slope, mmse = coefficients
    return Information(size, slope, mmse, (errors[0], errors[1], errors[2]))


def _scales(law: TypedMixture) -> np.ndarray:
    """Values of ln v at which a mixture changes most: scales of its parts and of the distances."""
    means = np.sort(np.array(law.means))
    scales = [*law.stds, *np.diff(means) / 2, float(np.ptp(means)) / 2, 1.0]
    positive = np.unique([s for s in scales if s > 0])
    return 2 * np.log(np.resize(positive, _CHECKS)) + np.linspace(0.0, 0.5, _CHECKS)


def _integrals(law: TypedMixture, variances: np.ndarray) -> tuple[np.ndarray, ...]:
    """V I, v^2 |I'| and mmse/v at each v, by quadrature."""
    line = line_of(law)
    found = line_integrals(line, jnp.asarray(variances))
    size = variances * np.asarray(found.fisher_information.value)
    slope = variances**2 * -np.asarray(found.fisher_information_slope.value)
    return size, slope, np.asarray(found.mmse.value) / variances


def line_of(law: TypedMixture) -> Line:
    """The law as the package's mixture on the line.

    Args:
      law: of the data.
    """
    weights, means, stds = (np.array(part) for part in law)
    return Line(jnp.asarray(np.log(weights)), jnp.asarray(means), jnp.asarray(stds**2))
