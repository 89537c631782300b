"""Arrays behind the pictures: densities at every step, and the Fisher curve."""

import numpy as np
from jaxtyping import Float

from design_space.explorer.numbers import FisherCurve
from design_space.explorer.typed_mixture import TypedMixture

CURVE_POINTS = 1200
"""Points of a Fisher curve, at most; they are shared among the steps."""

_EVEN, _BUMP = 161, 121  # points spread evenly over a row, and around each bump of it
_REACH = 5.0  # standard deviations of a bump that a row shows

Rows = Float[np.ndarray, "rows points"]


def rows_of_points(
    centers: Float[np.ndarray, "rows bumps"], stds: Float[np.ndarray, "rows bumps"]
) -> Rows:
    """Points at which densities are drawn: spread evenly, and denser around every bump.

    Args:
      centers: of the bumps of each row, in data units.
      stds: their standard deviations; NaN for a bump that is not there.

    Returns:
      The points, ascending in each row.
    """
    low = np.nanmin(centers - _REACH * stds, axis=1)
    high = np.nanmax(centers + _REACH * stds, axis=1)
    even = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, _EVEN)
    each = max(31, _BUMP // centers.shape[1])
    around = centers[:, :, None] + stds[:, :, None] * np.linspace(-_REACH, _REACH, each)
    around = np.where(np.isnan(around), low[:, None, None], around)
    return np.sort(np.concatenate([even, around.reshape(len(centers), -1)], axis=1), axis=1)


def normal_densities(
    x: Rows, means: Float[np.ndarray, " rows"], stds: Float[np.ndarray, " rows"]
) -> Rows:
    """The density of N(mean, std^2) of each row at its points.

    Args:
      x: the points.
      means: of each row.
      stds: of each row, above 0; NaN gives NaN.
    """
    z = (x - means[:, None]) / stds[:, None]
    return np.exp(-0.5 * z * z) / ((2 * np.pi) ** 0.5 * stds[:, None])


def noisy_stds(
    law: TypedMixture, sigmas: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, "rows components"]:
    """Standard deviations of the components of the data plus noise.

    Args:
      law: of the data.
      sigmas: noise level of each row.
    """
    return np.hypot(np.array(law.stds)[None, :], sigmas[:, None])


def mixture_densities(x: Rows, law: TypedMixture, sigmas: Float[np.ndarray, " rows"]) -> Rows:
    """The density of data plus noise of each row at its points.

    Args:
      x: the points.
      law: of the data.
      sigmas: noise level of each row.
    """
    stds = noisy_stds(law, sigmas)
    total = np.zeros_like(x)
    for k, (weight, mean) in enumerate(zip(law.weights, law.means, strict=True)):
        total += weight * normal_densities(x, np.full(len(x), mean), stds[:, k])
    return total


def moments(law: TypedMixture) -> tuple[float, float]:
    """Mean and variance of a mixture.

    Args:
      law: the mixture.
    """
    weights, means, stds = (np.array(part) for part in law)
    mean = float(weights @ means)
    return mean, float(weights @ (stds**2 + (means - mean) ** 2))


def curve_sigmas(sigmas: Float[np.ndarray, " nodes"]) -> Float[np.ndarray, "steps points"]:
    """Noise levels from sigma_j down to sigma_{j+1}, even in ln sigma, for every step.

    Args:
      sigmas: backward, descending.

    Returns:
      Shape [steps, points], at most CURVE_POINTS of them.
    """
    points = min(201, CURVE_POINTS // (len(sigmas) - 1))
    share = np.linspace(0.0, 1.0, points)[None, :]
    logs = np.log(sigmas)
    found = np.exp(logs[:-1, None] * (1 - share) + logs[1:, None] * share)
    found[:, 0], found[:, -1] = sigmas[:-1], sigmas[1:]
    return found


def fisher_curve(
    sigmas: Float[np.ndarray, "steps points"],
    information: Float[np.ndarray, "steps points"],
    error: float,
) -> FisherCurve:
    """The moving and the frozen score of every step.

    Args:
      sigmas: from `curve_sigmas`.
      information: I(sigma^2) there.
      error: largest error of sigma^2 I.
    """
    squares = sigmas**2
    return FisherCurve(sigmas, squares * information, squares * information[:, :1], error)
