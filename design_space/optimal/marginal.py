"""The grid of least marginal KL for a target: what no schedule of N steps can go below."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from design_space import checks
from design_space.arrays import Scalar, is_concrete
from design_space.errors.marginal import marginal_errors
from design_space.numerics.estimate import Estimate
from design_space.optimal.marginal_gaussian import (
    NOTHING,
    Descent,
    gaussian_descent,
    gaussian_kl,
    leading_order_sigmas,
)
from design_space.optimal.marginal_line import (
    COARSE,
    FINE,
    Fineness,
    line_kl_and_slopes,
    node_count,
)
from design_space.optimal.path import path_optimal
from design_space.optimal.score_optimal import score_optimal
from design_space.optimal.tangent import tangent
from design_space.schedules.named import edm, schedule, song
from design_space.schedules.published import align_your_steps, beta_quantiles
from design_space.schedules.schedule import Schedule
from design_space.scores.exact import complement_target, exact_score
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.reduction import Reduction, by_quadrature, reduce_to_line

Vector = Float[np.ndarray, "..."]

_ALWAYS = ("edm", "song", "path-optimal")  # starts of every search
_MORE = 1  # of the other schedules, the best ones
_ROUGHLY, _CLOSELY = 1e-6, 1e-9  # change of log KL below which a search ends


class MarginalOptimum(eqx.Module):
    """A grid of least marginal KL, and what speaks for it.

    Attributes:
      schedule: the grid, with sigma_bar_t = t.
      marginal_kl: KL(p_{v_N} | q_N) there, as `evaluate` gives it.
      gradient_norm: the largest |d KL / d log v_j| over the inner points.
      restarts: the KL that the search reached from each start; a search that reaches zero is the
        last one. On a line all searches but the best
        one stop at a coarser resolution, where the KL is good to a per cent or so.
      published: the KL of every schedule that was looked at as a start, on the same footing.
    """

    schedule: Schedule
    marginal_kl: Estimate
    gradient_norm: float
    restarts: dict[str, float]
    published: dict[str, float]

    @property
    def below_rounding(self) -> bool:
        """Whether the KL is zero within its error: nothing is left to gain."""
        return bool(self.marginal_kl.value <= self.marginal_kl.error)


def _starts(target: AbstractTarget, steps: int, low: float, high: float) -> dict[str, Vector]:
    """Variances, descending, of the published schedules and of the leading-order optima."""
    spread = np.diag(np.asarray(target.covariance()))
    mean = float(np.mean(spread))
    ends = (steps, low, high)
    grids = {
        "path-optimal": path_optimal(target, *ends),
        "edm": edm(*ends),
        "song": song(*ends),
        "cosine": schedule(time="cosine", steps=steps, sigma_min=low, sigma_max=high),
        "beta": beta_quantiles(*ends),
        "beta in sigma": beta_quantiles(*ends, map="sigma"),
        "align-your-steps": align_your_steps(steps, "sd15", low, high),
        "score-optimal": score_optimal(target, *ends),
        "leading-order": Schedule.from_sigmas(leading_order_sigmas(mean, *ends)),
    }
    if mean > 0:
        grids["tangent"] = tangent(mean**0.5, *ends)
    return {name: np.asarray(grid.backward_variances) for name, grid in grids.items()}


def _chosen(kls: dict[str, float]) -> list[str]:
    """The starts of the search: the usual ones, and the best of the others."""
    others = sorted((name for name in kls if name not in _ALWAYS), key=kls.__getitem__)
    return [*_ALWAYS, *others[:_MORE]]


class _Search(eqx.Module):
    """What a law offers: the KL of a grid, a descent from a grid, and the last polish."""

    kl: Callable[[Vector], float]
    descent: Callable[[Vector], Descent]
    polish: Callable[[Descent], Descent]


def _gaussian_search(target: Gaussian) -> _Search:
    mean = np.asarray(target.into_basis(target.mean_vector))
    eigenvalues = np.asarray(target.eigenvalues)
    return _Search(
        lambda v: gaussian_kl(mean, eigenvalues, v),
        lambda v: gaussian_descent(mean, eigenvalues, v),
        lambda found: found,
    )


def _line_search(reduction: Reduction, steps: int, low: float) -> _Search:
    line, across = reduction.line, complement_target(reduction)

    def at(how: Fineness) -> Callable[[Vector], tuple[float, Vector]]:
        count, noises = node_count(line, low**2, how), how.noise_nodes(steps)

        def evaluate(v: Vector) -> tuple[float, Vector]:
            kl, slopes = line_kl_and_slopes(line, across, jnp.asarray(v), count, noises)
            return float(kl), np.asarray(slopes)

        return evaluate

    coarse, fine = at(COARSE), at(FINE)
    return _Search(
        lambda v: coarse(v)[0],
        lambda v: _share_descent(coarse, v, _ROUGHLY),
        lambda found: _share_descent(fine, found.variances, _CLOSELY),
    )


def _share_descent(
    evaluate: Callable[[Vector], tuple[float, Vector]], start: Vector, change: float
) -> Descent:
    """L-BFGS on log KL in z, where the steps in log sigma are the start's times exp z, rescaled."""
    top, span = np.log(start[0]), np.log(start[0] / start[-1])
    shares = np.log(start[:-1] / start[1:]) / span
    best = Descent(start, np.inf, np.zeros(start.size - 2))

    def objective(z: Vector) -> tuple[float, Vector]:
        nonlocal best
        weights = shares * np.exp(z - np.max(z))
        weights = weights / np.sum(weights)
        v = np.exp(top - span * np.concatenate([[0.0], np.cumsum(weights)]))
        v[0], v[-1] = start[0], start[-1]
        kl, slopes = evaluate(v)
        slopes = (slopes * v)[1:-1]  # against log v
        if not (np.isfinite(kl) and kl > 0 and np.all(np.isfinite(slopes))):
            return 1e300, np.zeros_like(z)
        if kl < best.kl:
            best = Descent(v, kl, slopes)
        below = np.append(np.cumsum(slopes[::-1])[::-1], 0.0)  # of the levels that a step moves
        raw = -span * below / kl
        return np.log(kl), weights * (raw - weights @ raw)

    options = {"maxiter": 100, "ftol": change, "gtol": 1e-7, "maxcor": 30}
    minimize(objective, np.zeros(start.size - 1), jac=True, method="L-BFGS-B", options=options)
    return best


def _search(target: AbstractTarget, steps: int, low: float) -> _Search:
    if isinstance(target, Gaussian):
        return _gaussian_search(target)
    reduction = reduce_to_line(target.components())
    if reduction is None or not by_quadrature(reduction):
        raise checks.refusal(
            "target",
            f"{target.kind} in dimension {target.dim}",
            "a Gaussian, or a mixture of at most 32 components that reduces to a line: only their "
            "marginal law is an exact function of the grid",
            "take path_optimal, or such a target",
        )
    return _line_search(reduction, steps, low)


def marginal_optimum(
    target: AbstractTarget,
    steps: int,
    sigma_min: Scalar = 0.002,
    sigma_max: Scalar = 80.0,
) -> MarginalOptimum:
    """The schedule of least marginal KL for a target at N steps and end points, with evidence.

    Minimizes KL(p_{v_N} | q_N) of the frozen-score sampler with the exact score over the inner
    points of the grid, by its exact derivatives, from several starts: EDM's, Song's and the
    path-optimal grid, and the best of the other published and leading-order ones. Gaussians: by
    Levenberg-Marquardt with the exact Hessian; for N(m, s^2 I) there is a single minimum, which is
    the global one. Mixtures on a line: by L-BFGS with derivatives of the propagated density.

    Args:
      target: a Gaussian in any dimension, or a mixture that reduces to a line.
      steps: N, at least 1.
      sigma_min: last noise level, above 0.
      sigma_max: first noise level, above `sigma_min`.

    Returns:
      The optimum; its KL is that of an independent evaluation.

    Raises:
      ValueError: if a number is outside its domain, or the law has no exact differentiable law.
    """
    steps = checks.count("steps", steps)
    checks.positive("sigma_min", sigma_min)
    checks.positive("sigma_max", sigma_max)
    checks.ordered("sigma_min", sigma_min, "sigma_max", sigma_max)
    if not is_concrete(target, sigma_min, sigma_max):
        raise checks.refusal("target", "traced", "concrete", "call it outside jit and vmap")
    low, high = float(sigma_min), float(sigma_max)
    search = _search(target, steps, low)
    starts = _starts(target, steps, low, high)
    published = {name: search.kl(v) for name, v in starts.items()}
    found: dict[str, Descent] = {}
    for name in sorted(_chosen(published), key=published.__getitem__):
        found[name] = search.descent(starts[name])
        if found[name].kl < NOTHING:
            break
    name = min(found, key=lambda key: found[key].kl)
    best = search.polish(found[name])
    sigmas = np.sqrt(best.variances)
    sigmas[0], sigmas[-1] = high, low
    grid = Schedule.from_sigmas(sigmas)
    kl = marginal_errors(target, grid, exact_score(target), jax.random.key(0), 2).marginal_kl
    restarts = {key: value.kl for key, value in found.items()} | {name: best.kl}
    norm = float(np.max(np.abs(best.gradient), initial=0.0))
    return MarginalOptimum(grid, kl, norm, restarts, published)


def marginal_optimal(
    target: AbstractTarget,
    steps: int,
    sigma_min: Scalar = 0.002,
    sigma_max: Scalar = 80.0,
) -> Schedule:
    """The schedule of `marginal_optimum`, which see.

    Args, Raises: as there.

    Returns:
      The schedule, with sigma_bar_t = t.
    """
    return marginal_optimum(target, steps, sigma_min, sigma_max).schedule
