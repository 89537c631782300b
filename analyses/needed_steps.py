"""How many steps bring the errors of a Gaussian law of any dimension below a value.

Over a step of Gaussian data the reverse process has the mean y + h s(y) and, per eigenvalue l, the
variance h (l + v')/(l + v). So a step costs (1/2) [r - 1 - log r] with r the true over the chosen
variance: r - 1 = -h/(l + v) for the paper's sampler, and l h/((l + v) v') for ancestral sampling.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from design_space.arrays import Array
from design_space.numerics.defects import log1p_defect
from design_space.numerics.divergences import gaussian_kl_terms

LOW, HIGH = 0.002, 80.0
"""The standard range of noise levels."""

NODES = np.concatenate([[0.0], np.geomspace(1e-8, 1e4, 161)])
"""Eigenvalues at which errors are computed: a spline in log l is good to 1e-6 between them."""


def path_terms(sampler: str, values: Array, v: Array, below: Array, h: Array) -> Array:
    """What a step adds to the path KL on each eigenvalue, in nats; see the module.

    Args:
      sampler: "paper" or "ancestral".
      values: l.
      v: noise variance before the step.
      below: noise variance after it.
      h: v - below.
    """
    total = values + v
    if sampler == "paper":
        return 0.5 * log1p_defect(-h / total, (values + below) / total)
    return 0.5 * log1p_defect(values * h / (total * below))


def _level(design: str, share: Array) -> Array:
    """The noise level of a design after a share of its steps."""
    if design == "song":
        return HIGH * (LOW / HIGH) ** share
    return (HIGH ** (1 / 7) + share * (LOW ** (1 / 7) - HIGH ** (1 / 7))) ** 7


@eqx.filter_jit
def errors_in_steps(values: Array, design: str, steps: Array) -> dict[str, Array]:
    """Path KL and marginal KL on each eigenvalue, in nats, for any N, without compiling anew.

    Args:
      values: l, shape [eigenvalues].
      design: "edm" or "song".
      steps: N, may be traced.

    Returns:
      Arrays of the shape of `values` by "criterion sampler".
    """

    def step(j: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        high, low = _level(design, j / steps), _level(design, (j + 1) / steps)
        v, below, h = high**2, low**2, (high - low) * (high + low)
        paper, ancestral, own, posterior, flow = state
        total = values + v
        kept = (values + below) / total
        return (
            paper + path_terms("paper", values, v, below, h),
            ancestral + path_terms("ancestral", values, v, below, h),
            kept**2 * own + h * h / total,  # D' = kept^2 D + h^2/(l + v)
            kept**2 * posterior - h * h * values / (total * v),  # its noise: h - h^2/v
            flow * (values + high * low) / total,
        )

    zero = jnp.zeros_like(values)
    start = (zero, zero, -values, -values, jnp.full_like(values, HIGH))
    found = jax.lax.fori_loop(0, steps.astype(int), step, start)
    final, first = values + LOW**2, 0.5 * log1p_defect(values / HIGH**2)
    excess = {"paper": found[2], "ancestral": found[3], "ddim": found[4] ** 2 - final}
    row = {f"marginal_kl {n}": gaussian_kl_terms(final, x, zero) for n, x in excess.items()}
    return row | {"path_kl paper": first + found[0], "path_kl ancestral": first + found[1]}


def sum_over(values: np.ndarray, at_nodes: np.ndarray) -> float:
    """The sum of a smooth function of log l over eigenvalues, from its values at the nodes.

    Args:
      values: l, each 0 or between the ends of `NODES`.
      at_nodes: the function at `NODES`.
    """
    zeros = values == 0
    inner = CubicSpline(np.log(NODES[1:]), at_nodes[1:])(np.log(values[~zeros]))
    return float(inner.sum() + zeros.sum() * at_nodes[0])


def needed(counts: np.ndarray, errors: np.ndarray, to: float) -> tuple[float, bool]:
    """The number of steps at which an error falls to a value, by interpolation of logarithms.

    Args:
      counts: numbers of steps, ascending.
      errors: the error at each.
      to: the value.

    Returns:
      The number, rounded up, and whether it lies beyond `counts`: then the last slope is followed.
    """
    x, y = np.log(counts), np.log(np.maximum(errors, 1e-300))
    if y[-1] > np.log(to):
        slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
        return float(np.ceil(np.exp(x[-1] + (np.log(to) - y[-1]) / slope))), True
    if y[0] <= np.log(to):
        return float(counts[0]), False
    last = int(np.argmax(y <= np.log(to)))
    fine = np.linspace(x[last - 1], x[last], 2001)
    at = PchipInterpolator(x, y)(fine)
    return float(np.ceil(np.exp(fine[int(np.argmax(at <= np.log(to)))]) - 1e-9)), False
