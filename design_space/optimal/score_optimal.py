"""Score-optimal schedules: equal shares of the work of a corrector along the path of laws."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicSpline

from design_space import checks
from design_space.arrays import Array, Float, Scalar, is_concrete
from design_space.numerics.quadrature import gauss_legendre
from design_space.schedules.schedule import Schedule
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.line import Line, at_point, panel_count, rule
from design_space.targets.reduction import by_quadrature, reduce_to_line

_CELLS, _NODES = 512, 4  # of the composite rule for the length, in log sigma
_ORDER = 16  # nodes per panel of an integral over the data law


@eqx.filter_jit
def _line_rates(line: Line, variances: Array, panels: int) -> Array:
    """E (d/dv (log p_v)')^2 under p_v at each v."""

    def one(v: Array) -> Array:
        x, weights = rule(line, v, panels, _ORDER)

        def node(y: Array) -> Array:
            _, rate = jax.jvp(lambda u: at_point(line, y, u).score, (v,), (jnp.ones_like(v),))
            return jnp.exp(at_point(line, y, v).log_density) * rate**2

        return jnp.sum(weights.ravel() * jax.vmap(node)(x.ravel()))

    return jax.lax.map(one, variances)


def score_rates(
    target: AbstractTarget, variances: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """r(v) = E |d/dv grad log p_v(X_v)|^2, X_v ~ p_v.

    For N(m, S) it is sum_i (l_i + v)^{-3}; for a mixture that reduces to a line, an integral along
    the line by Gauss-Legendre quadrature and (s^2 + v)^{-3} for each direction across.

    Args:
      target: a Gaussian, or a mixture that reduces to a line.
      variances: noise variances v > 0, shape [n].

    Returns:
      Shape [n], in inverse data unit to the sixth.

    Raises:
      ValueError: for other laws.
    """
    if isinstance(target, Gaussian):
        return np.sum(
            (np.asarray(target.eigenvalues)[None, :] + variances[:, None]) ** -3.0, axis=1
        )
    reduction = reduce_to_line(target.components())
    if reduction is None or not by_quadrature(reduction):
        raise checks.refusal(
            "target",
            f"{target.kind} in dimension {target.dim}",
            "a Gaussian, or a mixture of at most 32 components that reduces to a line",
            "take such a target, or another schedule",
        )
    along = _line_rates(
        reduction.line, jnp.asarray(variances), panel_count(reduction.line, jnp.asarray(variances))
    )
    across = reduction.complement_dim / (float(reduction.complement_variance) + variances) ** 3
    return np.asarray(along) + across


def score_optimal(
    target: AbstractTarget,
    steps: int,
    sigma_min: Scalar = 0.002,
    sigma_max: Scalar = 80.0,
    *,
    velocity: float = 1.0,
) -> Schedule:
    """The score-optimal schedule with the corrector-optimized cost.

    The work of a Langevin corrector of speed u(sigma) that carries samples of p_t to p_t' is
    L_c = u^2 E_{p_t} |grad log p_t' - grad log p_t|^2 = delta dt^2 + ..., and the sum of N of them
    is least, for many steps, when each has the same share of the length int sqrt(delta) dt. With
    u = sigma^velocity the length is

        int sigma^velocity sqrt(E |d/dv grad log p_v|^2) dv,

    which does not depend on the clock. Velocity 1 is the authors' choice as public summaries and a
    public reimplementation of the paper give it; 0 is a constant speed. Their predictor-optimized
    cost is not implemented. For N(m, s^2 I) and velocity 1 the length up to sigma is
    2 sqrt(d) (asinh(sigma/s) - sigma/sqrt(s^2 + sigma^2)).

    Args:
      target: a Gaussian in any dimension, or a mixture that reduces to a line.
      steps: N, at least 1.
      sigma_min: last noise level, above 0.
      sigma_max: first noise level, above `sigma_min`.
      velocity: exponent of the speed.

    Returns:
      The schedule, with sigma_bar_t = t.

    Raises:
      ValueError: if a number is outside its domain, or the law is another one.

    Source: the corrector-optimized cost of arXiv 2412.07877, see above.
    """
    steps = checks.count("steps", steps)
    low, high = checks.positive("sigma_min", sigma_min), checks.positive("sigma_max", sigma_max)
    checks.ordered("sigma_min", sigma_min, "sigma_max", sigma_max)
    if not is_concrete(target, sigma_min, sigma_max):
        raise checks.refusal("target", "traced", "concrete", "call it outside jit and vmap")
    edges, share = _lengths(
        target, float(low), float(high), float(checks.finite("velocity", velocity))
    )
    place = CubicSpline(share, edges)(np.linspace(0, share[-1], steps + 1))
    sigmas = np.exp(place[::-1])
    sigmas[0], sigmas[-1] = float(high), float(low)
    return Schedule.from_sigmas(sigmas)


def _lengths(
    target: AbstractTarget, low: float, high: float, velocity: float
) -> tuple[np.ndarray, np.ndarray]:
    """Edges in log sigma, ascending, and the length from the first edge to each."""
    unit, weights = gauss_legendre(_NODES)
    edges = np.linspace(np.log(low), np.log(high), _CELLS + 1)
    width = edges[1] - edges[0]
    y = edges[:-1, None] + width * unit[None, :]
    rates = score_rates(target, np.exp(2 * y.ravel())).reshape(y.shape)
    speed = 2 * np.exp((velocity + 2) * y) * np.sqrt(rates)  # dv = 2 sigma^2 d log sigma
    parts = width * speed @ weights
    return edges, np.concatenate([[0.0], np.cumsum(parts)])
