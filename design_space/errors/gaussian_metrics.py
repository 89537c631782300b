"""Total variation of two Gaussian laws that may be near each other."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from design_space.arrays import EPS
from design_space.numerics.estimate import Estimate
from design_space.numerics.quadrature import gauss_legendre
from design_space.numerics.statistics import mean_estimate

_NEAR = 1e-3  # total variation below which the difference of two masses would cancel
_EDGES = np.linspace(-13.0, 13.0, 36)  # panels of 3/4 of a standard deviation; mass beyond 1e-37
_BLOCK = 1 << 22  # numbers held at a time


def log_ratio(z: np.ndarray, excess: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Log of N(b, diag(1 + c)) over N(0, I) at z, without cancellation.

    (1/2) sum [(c z^2 + 2 b z - b^2) / (1 + c) - log(1 + c)].

    Args:
      z: points, shape [..., dim].
      excess: c > -1, shape [dim].
      shift: b, shape [dim].

    Returns:
      Shape [...].
    """
    square = (excess * z * z + 2 * shift * z - shift**2) / (1 + excess)
    return 0.5 * np.sum(square - np.log1p(excess), axis=-1)


def _crossings(c: float, b: float) -> tuple[float, float]:
    """Where N(0, 1) and N(b, 1 + c) cross, ascending; one may be infinite.

    The roots of c z^2 + 2 b z - b^2 - (1 + c) log(1 + c).
    """
    constant = -(b * b + (1 + c) * np.log1p(c))
    root = np.sqrt((1 + c) * (b * b + c * np.log1p(c)))
    w = -(b + np.copysign(root, b))
    far = w / c if c != 0 else np.copysign(np.inf, w)
    return min(far, constant / w), max(far, constant / w)


def line_total_variation(c: float, b: float) -> Estimate:
    """TV(N(0, 1), N(b, 1 + c)).

    The difference of the masses between the points at which the densities cross; where that would
    cancel, (1/2) int |q/p - 1| p by Gauss-Legendre panels that end there.

    Args:
      c: excess of the variance, above -1.
      b: shift of the mean.

    Returns:
      Method "closed form", or "quadrature" for laws that are near.
    """
    if c == 0 and b == 0:
        return Estimate(jnp.zeros(()), jnp.zeros(()), "closed form")
    low, high = _crossings(c, b)
    scale = np.sqrt(1 + c)
    own, other = (ndtr(high) - ndtr(low), ndtr((high - b) / scale) - ndtr((low - b) / scale))
    value = abs(float(own - other))
    if value > _NEAR:
        return Estimate(jnp.asarray(value), jnp.asarray(16 * EPS), "closed form")
    inner = [x for x in (low, high) if abs(x) < _EDGES[-1]]
    edges = np.unique(np.concatenate([_EDGES, inner]))
    sums = []
    for order in (20, 16):
        unit, weights = (np.asarray(a) for a in gauss_legendre(order))
        widths = np.diff(edges)[:, None]
        z = (edges[:-1, None] + widths * unit[None, :]).ravel()
        density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
        each = np.abs(np.expm1(log_ratio(z[:, None], np.array([c]), np.array([b]))))
        sums.append(0.5 * float((widths * weights[None, :]).ravel() @ (density * each)))
    error = abs(sums[0] - sums[1]) + 64 * EPS * sums[0]
    return Estimate(jnp.asarray(sums[0]), jnp.asarray(error), "quadrature")


def share_of_ratio(log_ratios: Float[np.ndarray, " samples"]) -> Estimate:
    """Computes E_p (1 - q/p)_+ = TV(p, q) from log q/p at draws of p, with its 99 % interval.

    Args:
      log_ratios: log q/p at independent draws of p, shape [samples].
    """
    found = mean_estimate(jnp.asarray(-np.expm1(np.minimum(log_ratios, 0.0))))
    # Draws that are all 1 have no spread, yet q may hide a share 1/n of p: Wilson's interval.
    unseen = float(found.value) * 6.64 / len(log_ratios)
    return Estimate(found.value, jnp.hypot(found.error, unseen), "monte carlo")


def gaussian_total_variation(
    excess: Float[np.ndarray, " dim"] | Float[np.ndarray, "dim dim"],
    shift: Float[np.ndarray, " dim"],
    random: np.random.Generator,
    samples: int,
) -> Estimate:
    """TV(N(0, I), N(b, I + C)).

    Args:
      excess: C, its diagonal [dim] or [dim, dim].
      shift: b, shape [dim].
      random: generator, used above one dimension.
      samples: draws there.

    Returns:
      On the line as `line_total_variation`, else method "monte carlo".
    """
    if excess.ndim == 2:
        excess, basis = np.linalg.eigh(excess)
        shift = basis.T @ shift
    if len(shift) == 1:
        return line_total_variation(float(excess[0]), float(shift[0]))
    blocks = -(-samples * len(shift) // _BLOCK)
    parts = np.array_split(np.arange(samples), blocks)
    ratios = [
        log_ratio(random.standard_normal((len(part), len(shift))), excess, shift) for part in parts
    ]
    return share_of_ratio(np.concatenate(ratios))
