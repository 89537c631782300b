"""Studies of equations (5), (7) and (12): Riemann sums, the empirical loss, EDM's objective."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from analyses import residuals
from analyses.cases import Case, Design
from analyses.families import random_gaussians
from analyses.statement import Observations, Sides
from design_space.arrays import Array
from design_space.bounds import objective
from design_space.numerics.quadrature import gauss_legendre
from design_space.numerics.rates import log_log_slope
from design_space.schedules.schedule import Schedule
from design_space.schedules.time import Polynomial
from design_space.schedules.variance import Power
from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian
from design_space.weightings.named import edm_weighting

STEPS = (256, 512, 1024, 2048, 4096)
"""Steps of the Riemann sums of one fit."""

LIMIT_TO = 1e-4
"""What is left of the sums after one extrapolation, which removes the order 1/N only."""

CONFIDENCE = 0.99

_SLOPES = 112  # designs of eq. (5), each at all of STEPS
_SHAPES = ((1, 3, 260), (3, 2, 260))  # designs of eq. (7): dimension, steps and how many
_REPEATS, _POINTS = 1500, 2  # of data and noise for each
_OBJECTIVES = 512  # designs of eq. (12)


def _uniform(random: np.random.Generator, low: float, high: float, *shape: int) -> np.ndarray:
    return low + (high - low) * random.random(shape)


# Equation (5)


def _riemann_designs(closed: bool) -> dict[str, np.ndarray]:
    """Random Gaussian data in two dimensions, schedules, factors and weights v^power.

    Powers of at most 0 or at least 1 make w E|S - L|^2 fall or rise all the way.
    """
    random, count = np.random.default_rng(5), _SLOPES
    power = _uniform(random, -0.5, 0.0, count)
    return {
        "mean": random.standard_normal((count, 2)),
        "spread": 10 ** _uniform(random, -1.5, 1.0, count, 2),
        "low": 10 ** _uniform(random, -1.3, -0.7, count),
        "high": 10 ** _uniform(random, 0.3, 1.3, count),
        "exponent": _uniform(random, 0.5, 1.0, count),
        "rho": np.ones(count) if closed else _uniform(random, 2.0, 6.0, count),
        "factor": 1 + _uniform(random, 0.1, 0.5, count) * random.choice([-1, 1], count),
        "power": np.where(random.random(count) < 0.5, power, 1 - power),
        "closed": np.full(count, closed),
    }


def _riemann(one: dict[str, Array], steps: Array) -> tuple[Array, Array, Array]:
    """Printed and corrected sum of so many steps, and the integral; padded to the most steps."""
    target, variance = Gaussian.diagonal(one["mean"], one["spread"]), Power(one["exponent"])
    low, high = variance.time(one["low"]), variance.time(one["high"])

    def weight(t: Array) -> Array:
        bump = (t - low) * (high - t) / (high - low) ** 2
        return jnp.where(one["closed"], bump, variance.sigma(t) ** (2 * one["power"]))

    def measured(function: Callable[..., Array], sigmas: Array) -> Array:
        slope = -one["factor"] / (one["spread"][None, :] + sigmas[:, None] ** 2)
        return jax.vmap(function, in_axes=(None, 0, 0))(one["spread"], slope, sigmas)

    fractions = jnp.minimum(jnp.arange(STEPS[-1] + 1) / steps, 1.0)
    times = Polynomial(one["rho"]).interpolate(fractions, low, high)
    schedule = Schedule(variance, variance.sigma(times), times)
    sigmas, w = schedule.forward_sigmas[1:], weight(times[1:])
    gaps = objective.gap_by_mmse(jax.vmap(lambda s: target.mmse(s**2).value)(sigmas), sigmas**2)
    given = (schedule, w, measured(residuals.affine_residual, sigmas), gaps)
    rule = objective.gauss_times(low, high)
    errors = measured(residuals.affine_mismatch, variance.sigma(rule.times))
    integral = objective.equation_3(rule, weight(rule.times), errors)
    return objective.equation_5(*given), objective.equation_5_corrected(*given), integral


@functools.cache
def _riemann_sums(closed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Printed and corrected sums and integrals of all designs, [steps, designs]."""
    designs = {key: jnp.asarray(value) for key, value in _riemann_designs(closed).items()}
    each = jax.vmap(_riemann, in_axes=(0, None))
    found = jax.jit(lambda n: jax.lax.map(lambda k: each(designs, k), n))(jnp.array(STEPS))
    printed, corrected, integral = (np.asarray(x) for x in found)
    return printed, corrected, integral


def _slopes(sums: np.ndarray, integral: np.ndarray) -> Observations:
    """Fitted orders in N of the difference of sums and integrals, against -1."""
    off = jnp.asarray(np.abs(sums - integral)).T
    slope = jax.vmap(lambda y: log_log_slope(jnp.asarray(STEPS, dtype=jnp.float64), y))(off)
    count = off.shape[0]
    labels = tuple(f"design {i}, N = {STEPS[0]} to {STEPS[-1]}" for i in range(count))
    left, error = np.asarray(slope.value), np.asarray(slope.error)
    return Observations(left, np.full(count, -1.0), error, labels, count * len(STEPS))


def orders(formula: Callable[..., Array]) -> Callable[[], Observations]:
    """Study of the order of eq. (5), printed or corrected, in N."""

    def run() -> Observations:
        printed, corrected, integral = _riemann_sums(False)
        sums = printed if formula is objective.equation_5 else corrected
        return _slopes(sums, integral)

    return run


def limits() -> Observations:
    """Corrected sums, extrapolated to infinitely many steps, against the integrals."""
    _, sums, integral = _riemann_sums(False)
    left, count = 2 * sums[-1] - sums[-2], sums.shape[1]
    labels = tuple(f"design {i}, N = {STEPS[-2]} and {STEPS[-1]}" for i in range(count))
    return Observations(left, integral[-1], np.zeros(count), labels, 2 * count)


def closed_ends() -> Observations:
    """The order where the integrand vanishes at both ends of uniform times."""
    _, corrected, integral = _riemann_sums(True)
    return _slopes(corrected, integral)


# Equation (7)


@functools.cache
def _repeated(shape: tuple[int, int, int]) -> tuple[tuple[Design, ...], np.ndarray, dict]:
    """Designs of a shape, total weightings, and fresh data with their noise."""
    designs = random_gaussians(*shape, seed=7)
    random, (dim, steps, count) = np.random.default_rng([7, *shape]), shape
    mean, spread = (np.stack([getattr(d, k)[0] for d in designs]) for k in ("means", "variances"))
    beta = _uniform(random, 0.1, 1.0, count, steps)
    data = random.standard_normal((count, _REPEATS, _POINTS, 1, dim))
    data = mean[:, None, None, None] + np.sqrt(spread)[:, None, None, None] * data
    noise = random.standard_normal((count, _REPEATS, _POINTS, steps, dim))
    sigmas = np.stack([d.sigmas[-2::-1] for d in designs])
    wide = sigmas[:, None, None, :, None]
    # The score is exact up to its factor.
    slope = -np.array([d.factor for d in designs])[:, None, None] / (
        spread[:, None] + sigmas[..., None] ** 2
    )
    points = {"mean": mean, "spread": spread, "sigmas": sigmas, "wide": wide, "noise": noise}
    return designs, beta, {**points, "slope": slope, "noised": data + wide * noise}


@jax.jit
@jax.vmap
def _empirical(beta: Array, squares: Array) -> Array:
    """Equation (7) for one design and every repetition."""
    return jax.vmap(lambda x: objective.equation_7(beta, x))(squares)


@jax.jit
@jax.vmap
def _population(beta: Array, spread: Array, sigmas: Array, slope: Array) -> Array:
    """Equation (6) of the score slope_j (x - mean) for one design."""
    each = jax.vmap(residuals.affine_residual, in_axes=(None, 0, 0))(spread, slope, sigmas)
    return objective.equation_6(beta, each)


def _rounding(shape: tuple[int, int, int]) -> np.ndarray:
    """What rounding can move the losses of a shape by."""
    _, beta, points = _repeated(shape)
    each = jax.vmap(residuals.rounding, in_axes=(0, 0, 0, None))
    small = each(points["mean"], points["sigmas"], jnp.zeros_like(beta), shape[0])
    return np.asarray(jax.vmap(objective.equation_6)(jnp.asarray(beta), small))


def _against(losses: list[np.ndarray], right: list[np.ndarray]) -> Observations:
    """Means over the repetitions against what they should be, with simultaneous intervals.

    Half of the error probability is kept for the skewness of the means, which are normal only
    nearly.
    """
    designs = sum((_repeated(shape)[0] for shape in _SHAPES), ())
    draws = np.concatenate(losses)
    factor = stats.norm.ppf(1 - (1 - CONFIDENCE) / (4 * len(designs)))
    error = factor * draws.std(axis=1, ddof=1) / np.sqrt(_REPEATS)
    error += np.concatenate([_rounding(shape) for shape in _SHAPES])
    labels = tuple(f"{d.name}, d = {d.shape[1]}" for d in designs)
    wanted = np.concatenate(right)
    return Observations(
        draws.mean(axis=1), wanted, error, labels, len(designs), designs, CONFIDENCE
    )


def _fixed_score(factor: float) -> Observations:
    losses, right = [], []
    for shape in _SHAPES:
        _, beta, points = _repeated(shape)
        centered = points["noised"] - points["mean"][:, None, None, None]
        left = points["wide"] * points["slope"][:, None, None] * centered + points["noise"]
        losses.append(factor * np.asarray(_empirical(beta, np.sum(left**2, axis=-1))))
        law = (points[k] for k in ("spread", "sigmas", "slope"))
        right.append(np.asarray(_population(beta, *law)))
    return _against(losses, right)


def unbiased() -> Observations:
    """The empirical loss over fresh data and noise against the loss (6)."""
    return _fixed_score(1.0)


def twice() -> Observations:
    """The same with 1/n in place of 1/(2n)."""
    return _fixed_score(2.0)


def fitted() -> Observations:
    """The least empirical loss of scores a_j x against the least loss (6) of such scores."""
    losses, right = [], []
    for shape in _SHAPES:
        _, beta, points = _repeated(shape)
        noised, noise, wide = (points[k] for k in ("noised", "noise", "wide"))
        across = np.sum(noised * noise, axis=(2, 4), keepdims=True)
        best = -across / (wide * np.sum(noised**2, axis=(2, 4), keepdims=True))
        left = np.sum((wide * best * noised + noise) ** 2, axis=-1)
        losses.append(np.asarray(_empirical(beta, left)))
        # E X'xi = sigma d, so that the least residual is d - v d^2/E|X|^2.
        dim, v = shape[0], points["sigmas"] ** 2
        moment = np.sum(points["mean"] ** 2 + points["spread"], axis=1)[:, None] + dim * v
        right.append(np.asarray(jax.vmap(objective.equation_6)(beta, dim - v * dim**2 / moment)))
    return _against(losses, right)


def fixed_data(case: Case) -> Sides:
    """The mean of eq. (7) over the noise of fixed data, the means of the components of a mixture,
    against eq. (6) on their empirical law; the score is that of a Gaussian times a factor.
    """
    points = case.target.components().means
    law, sigmas = Empirical(points), case.schedule.forward_sigmas[1:]
    center, spread = jnp.mean(points), jnp.var(points)
    beta = edm_weighting().total(case.schedule)

    def score(x: Array, sigma: Array) -> Array:
        return -case.factor * (x - center) / (spread + sigma**2)

    def squares(noise: float) -> Array:
        def one(point: Array, sigma: Array) -> Array:
            return jnp.sum((sigma * score(point + sigma * noise, sigma) + noise) ** 2)

        return jax.vmap(lambda p: jax.vmap(lambda s: one(p, s))(sigmas))(points)

    # In one dimension two noises, +-1, are as good as all: the score is affine.
    left = objective.equation_7(beta, 0.5 * (squares(1.0) + squares(-1.0)))
    errors = residuals.along(lambda s: residuals.mismatch(law, score, s, residuals.COARSE), sigmas)
    mmse = residuals.along(lambda s: residuals.least_error(law, s, residuals.COARSE), sigmas)
    v = sigmas**2
    right = objective.equation_6(beta, v * errors) + objective.equation_6_floor(beta, mmse, v)
    rounding = residuals.rounding(points, sigmas, errors * v + mmse / v, 1)
    return Sides(left, right, objective.equation_6(beta, rounding))


# Equation (12)


def _objective_designs() -> dict[str, np.ndarray]:
    random, count = np.random.default_rng(12), _OBJECTIVES
    return {
        "mean": random.standard_normal((count, 2)),
        "spread": 10 ** _uniform(random, -3.0, 2.0, count, 2),
        "factor": _uniform(random, 0.5, 1.5, count),
        "p_mean": _uniform(random, -3.0, 1.0, count),
        "p_std": _uniform(random, 0.3, 2.0, count),
        "sigma_data": 10 ** _uniform(random, -1.0, 0.5, count),
    }


def _edm(one: dict[str, Array]) -> Array:
    """EDM's own loss, by the trapezoid rule in ln sigma, of D(x) = x + sigma^2 S(x).

    The loss grows at most like sigma^2, which moves the bell by 2 P_std standard deviations.
    """
    target = Gaussian.diagonal(one["mean"], one["spread"])
    u = jnp.arange(-9.0, 13.0 + 1 / 16, 1 / 8)
    sigmas = jnp.exp(one["p_mean"] + one["p_std"] * u)

    def error(sigma: Array, data: float, noise: float) -> Array:
        x = one["mean"] + data * jnp.sqrt(one["spread"])
        noised = x + sigma * noise
        denoised = noised + sigma**2 * one["factor"] * target.score(noised, sigma**2)
        return jnp.sum((denoised - x) ** 2)

    signs = (-1.0, 1.0)  # exact for a denoiser that is affine in each coordinate
    each = [jax.vmap(lambda s, a=a, b=b: error(s, a, b))(sigmas) for a in signs for b in signs]
    weight = (sigmas**2 + one["sigma_data"] ** 2) / (sigmas * one["sigma_data"]) ** 2
    density = jnp.exp(-0.5 * u**2) / jnp.sqrt(2 * jnp.pi)
    return jnp.sum(density * weight * sum(each) / 4) / 8


def _denoising(one: dict[str, Array], z: float | None, logarithmic: bool) -> Array:
    """The right-hand side of eq. (12), by Gauss-Legendre quadrature in sigma."""
    nodes, weights = gauss_legendre(16)
    edges = jnp.exp(one["p_mean"] + one["p_std"] * jnp.linspace(-9.0, 13.0, 65))
    widths = jnp.diff(edges)
    sigmas = (edges[:-1, None] + widths[:, None] * nodes[None, :]).ravel()
    rule = (widths[:, None] * weights[None, :]).ravel() / (sigmas if logarithmic else 1.0)
    slope = -one["factor"] / (one["spread"][None, :] + sigmas[:, None] ** 2)
    each = jax.vmap(residuals.affine_residual, in_axes=(None, 0, 0))
    left_over = each(one["spread"], slope, sigmas)
    bell = edm_weighting(one["p_mean"], one["p_std"], one["sigma_data"]).density
    chosen = objective.equation_12_normalizer(one["p_std"]) if z is None else z
    return objective.equation_12(rule, jax.vmap(bell)(sigmas), left_over, chosen)


def edm_objective(z: float | None = None, logarithmic: bool = False) -> Callable[[], Observations]:
    """Study of eq. (12).

    Args:
      z: another Z than sqrt(2 pi) P_std.
      logarithmic: integrate over d ln sigma in place of d sigma.
    """

    def run() -> Observations:
        designs = {key: jnp.asarray(value) for key, value in _objective_designs().items()}
        both = jax.jit(jax.vmap(lambda one: (_edm(one), _denoising(one, z, logarithmic))))
        left, right = (np.asarray(x) for x in both(designs))
        names = ("p_mean", "p_std", "sigma_data")
        rows = zip(*(np.asarray(designs[name]) for name in names), strict=True)
        labels = tuple(f"P_mean {m:.3g}, P_std {s:.3g}, sigma_data {d:.3g}" for m, s, d in rows)
        return Observations(left, right, np.zeros(len(left)), labels, len(left))

    return run
