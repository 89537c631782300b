"""Lemmas 9, 11 and 12: one step of the sampler, and the reverse process, on their own joint law."""

import jax
import jax.numpy as jnp

from analyses.cases import Case
from analyses.pairs import expectation, pair_expectation
from analyses.statement import Claim, OnDesigns, Sides, Statement, worst_entry
from design_space.arrays import EPS, Array
from design_space.bounds.one_step import lemma_9, lemma_9_corrected
from design_space.bounds.posterior import lemma_11_rate, lemma_12
from design_space.errors.one_step import one_step_kl, reverse_mismatch
from design_space.numerics.quadrature import gauss_legendre
from design_space.schedules.variance import AbstractVarianceSchedule
from design_space.targets.line import Line, at_point

_SOURCE = "arXiv 2406.12839"
_WITHIN = (0.25, 0.75, 1.0)  # how far into a step, in variance, statements are checked


def _levels(case: Case) -> tuple[Array, Array]:
    """Pairs of noise variances v_j and one below, inside step j, for every step, flat."""
    v, h = case.variances[:-1], case.variance_steps
    share = jnp.asarray(_WITHIN)
    low = v[:, None] - share[None, :] * h[:, None]
    return jnp.repeat(v, len(_WITHIN)), low.ravel()


def _eigenvalues(case: Case) -> Array:
    return case.target.components().variances[0]


def _diffusion(schedule: AbstractVarianceSchedule, variance: Array) -> Array:
    return schedule.diffusion(schedule.time(jnp.sqrt(variance)))


def _lemma_9(case: Case) -> Sides:
    """The pair of levels with the smallest right side over left side."""
    high, low = _levels(case)
    values = _eigenvalues(case)

    def pair(v: Array, u: Array) -> tuple[Array, Array]:
        mismatch = reverse_mismatch(values, v, u, case.factor)
        diffusion = _diffusion(case.schedule.variance, u)
        return one_step_kl(values, v, u, case.factor), lemma_9(diffusion, mismatch)

    left, right = jax.vmap(pair)(high, low)
    worst = jnp.argmin(right / left)
    return Sides(left[worst], right[worst], 1e-12 * left[worst])


def _lemma_9_rate(case: Case) -> Sides:
    high, low = _levels(case)
    values = _eigenvalues(case)

    def pair(v: Array, u: Array) -> tuple[Array, Array]:
        diffusion = _diffusion(case.schedule.variance, u)
        # v' falls by 2 sigma^2 per time as the step goes on.
        slope = jax.grad(lambda w: one_step_kl(values, v, w, case.factor))(u)
        mismatch = reverse_mismatch(values, v, u, case.factor)
        return -2 * diffusion * slope, lemma_9_corrected(diffusion, mismatch)

    return worst_entry(*jax.vmap(pair)(high, low))


def _at_end(case: Case) -> Sides:
    """The rate with the mismatch of the scores taken at the beginning of the step."""
    high, low = _levels(case)
    values = _eigenvalues(case)

    def pair(v: Array, u: Array) -> tuple[Array, Array]:
        diffusion = _diffusion(case.schedule.variance, u)
        slope = jax.grad(lambda w: one_step_kl(values, v, w, case.factor))(u)
        return -2 * diffusion * slope, diffusion * reverse_mismatch(values, v, v, case.factor)

    return worst_entry(*jax.vmap(pair)(high, low))


LEMMA_9 = Statement(
    id="lemma-9",
    title="The cost of one step",
    source=f"Lemma 9 of {_SOURCE}",
    says="Followed for a time t, a step of the sampler costs at most half the mismatch of the "
    "frozen score with the exact one at t, times σ².",
    latex=r"\mathbb{E}\, \mathrm{KL}(p_{s_j+t|s_j} | q_{s_j+t|s_j}) \le "
    r"\tfrac12 \sigma_{T-t}^2\, \mathbb{E}|s - \nabla\log p_{T-t}(Y_t)|^2",
    printed=Claim("printed", "E KL after part of a step below the bound", OnDesigns(_lemma_9)),
    corrected=Claim(
        "corrected", "the rate of E KL equals σ² E|s - L_t|²", OnDesigns(_lemma_9_rate), "="
    ),
    corrected_latex=r"\frac{d}{dt} \mathbb{E}\, \mathrm{KL}(p_{s_j+t|s_j} | q_{s_j+t|s_j}) = "
    r"\sigma_{T-t}^2\, \mathbb{E}|s - \nabla\log p_{T-t}(Y_t)|^2",
    derivation="The two processes share the noise √(2σ²) dW and differ in drift by "
    "2σ²(s - L_t); Girsanov gives the divergence of the paths at the rate ½ |2σ²(s - L)|²/(2σ²) = "
    "σ² |s - L|², and conditional on the start the KL of the end points obeys the same "
    "identity for Gaussian data, whose exact conditional laws are Gaussian too. The printed "
    "right side is a rate, in nats per time, and is compared with an amount: it fails on long "
    "steps. In the proof of Theorem 2 it is the rate that is used.",
    broken=(
        Claim(
            "mismatch at the start",
            "the rate with both scores at the beginning of the step",
            OnDesigns(_at_end),
            "=",
        ),
    ),
    expected="fails as printed; corrected form holds",
)


def _posterior_rate(case: Case) -> Sides:
    """d/dt E Sigma_t by differentiation, at every grid point and eigenvalue."""
    schedule, target = case.schedule.variance, case.target
    point = target.mean()  # the posterior covariance of Gaussian data is the same everywhere

    times = case.schedule.backward_times

    def at(t: Array) -> Array:
        def covariance(time: Array) -> Array:
            return jnp.diag(target.posterior_covariance(point, schedule.sigma(time) ** 2))

        variance = schedule.sigma(t) ** 2
        here = covariance(t)
        rate = lemma_11_rate(schedule.diffusion(t), variance, here**2)
        # The derivative of l v/(l + v) is a difference of terms of the size of Sigma/v.
        rounding = 16 * EPS * schedule.diffusion(t) / variance * here
        return jnp.stack([jax.jvp(covariance, (t,), (jnp.ones_like(t),))[1], rate, rounding])

    left, right, rounding = (x.ravel() for x in jnp.moveaxis(jax.vmap(at)(times), 1, 0))
    off = jnp.maximum(jnp.abs(left - right) - rounding, 0) / jnp.maximum(right, 1e-300)
    worst = jnp.argmax(off)
    return Sides(left[worst], right[worst], rounding[worst])


_ORDER = 24  # Gauss-Legendre nodes in log variance, over at most an e-fold


def _interval(case: Case) -> tuple[Array, Array]:
    """The middle step of a grid, cut to an e-fold of variance."""
    j = case.schedule.steps // 2
    return case.variances[j], jnp.maximum(case.variances[j + 1], case.variances[j] / jnp.e)


def _mixture_rate(case: Case) -> Sides:
    """mmse(v) - mmse(v') as the integral of the rate over the time between."""
    high, low = _interval(case)
    schedule = case.schedule.variance
    share, weights = (jnp.asarray(x) for x in gauss_legendre(_ORDER))
    span = jnp.log(high / low)

    def moments(v: Array) -> Array:
        def powers(line: Line, x: Array) -> Array:
            covariance = at_point(line, x, v).posterior_variance
            return jnp.stack([covariance, covariance**2])

        return expectation(case.target, v, powers)

    def rate(v: Array) -> Array:
        t = schedule.time(jnp.sqrt(v))
        speed = schedule.diffusion(t)
        # dt = dv/(2 sigma^2) and dv = v dlog v
        return lemma_11_rate(speed, v, moments(v)[1]) / (2 * speed) * v

    nodes = low * jnp.exp(share * span)
    right = span * weights @ jax.lax.map(rate, nodes)
    ends = jax.lax.map(moments, jnp.stack([high, low]))[:, 0]
    return Sides(ends[0] - ends[1], right, 1e-12 * ends[0])


LEMMA_11 = Statement(
    id="lemma-11",
    title="How the posterior covariance changes",
    source=f"Lemma 11 of {_SOURCE}",
    says="The mean posterior covariance of the data grows with the noise at a rate given by its "
    "mean square.",
    latex=r"\frac{d}{dt} \mathbb{E} \Sigma_t = 2 \sigma_t^2 v_t^{-2}\, \mathbb{E} \Sigma_t^2",
    printed=Claim(
        "printed",
        "Gaussian data: the derivative of E Σ_t at every grid point",
        OnDesigns(_posterior_rate),
        "=",
    ),
    supporting=(
        Claim(
            "mixtures",
            "mixtures: mmse over an e-fold of variance is the integral of the rate",
            OnDesigns(_mixture_rate, ("mixture",)),
            "=",
        ),
    ),
    expected="holds",
)


def _integral(case: Case, high: Array, low: Array) -> Array:
    """The integral of sigma_t^2/sigma_bar_t^4 dt between two variances, by quadrature."""
    schedule = case.schedule.variance
    share, weights = (jnp.asarray(x) for x in gauss_legendre(64))
    width = jnp.log(high / low)
    times = schedule.time(jnp.sqrt(low * jnp.exp(width * share)))
    variance = schedule.sigma(times) ** 2
    dt = variance / (2 * schedule.diffusion(times))  # per d log v
    return width * weights @ (schedule.diffusion(times) / variance**2 * dt)


def _squared_change(values: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """E|L_low - L_high|^2 from the joint covariance of the two points, and its rounding."""
    slopes = jnp.stack([-1 / (values + low), 1 / (values + high)])
    shared = values + low  # covariance of the two points, and variance of the one with less noise
    covariance = jnp.stack([jnp.stack([shared, shared]), jnp.stack([shared, values + high])])
    terms = slopes[:, None, :] * covariance * slopes[None, :, :]
    return jnp.sum(terms), 8 * EPS * jnp.sum(jnp.abs(terms))


def _every_step(case: Case, right: Array) -> Sides:
    """The mean square change over every step against `right`; the step that is farthest off."""
    values, v = _eigenvalues(case), case.variances
    left, rounding = jax.vmap(lambda a, b: _squared_change(values, a, b))(v[:-1], v[1:])
    # The right side is a difference of terms of the size of d/v' at most.
    rounding = rounding + 64 * EPS * case.target.dim / v[1:]
    off = jnp.maximum(jnp.abs(left - right) - rounding, 0)
    worst = jnp.argmax(off / jnp.maximum(left, right))
    return Sides(left[worst], right[worst], rounding[worst])


def _lemma_12(case: Case) -> Sides:
    v, mmse = case.variances, case.mmse

    def step(high: Array, low: Array, mmse_high: Array, mmse_low: Array) -> Array:
        integral = _integral(case, high, low)
        return lemma_12(case.target.dim, integral, (high, mmse_high), (low, mmse_low))

    return _every_step(case, jax.vmap(step)(v[:-1], v[1:], mmse[:-1], mmse[1:]))


def _growth(case: Case) -> Sides:
    return _every_step(case, case.information[1:] - case.information[:-1])


def _lemma_12_mixture(case: Case) -> Sides:
    """The middle step, on mixtures: the mean square by quadrature over both points."""
    j = case.schedule.steps // 2
    high, low = case.variances[j], case.variances[j + 1]

    def square(line: Line, x: Array, y: Array, xi: Array) -> Array:
        return (at_point(line, x, low).score - at_point(line, y, high).score) ** 2

    left, error = pair_expectation(case.target, high, low, square)
    right = lemma_12(1, _integral(case, high, low), (high, case.mmse[j]), (low, case.mmse[j + 1]))
    return Sides(left, right, error + 1e-11 * case.information[j + 1])


LEMMA_12 = Statement(
    id="lemma-12",
    title="How far the score moves within a step",
    source=f"Lemma 12 of {_SOURCE}",
    says="The mean square change of the exact score along the reverse process is explicit in the "
    "noise levels and the mean posterior covariances.",
    latex=r"\mathbb{E}|L_t - L_{s_j}|^2 = 2d \int_{s_j}^t \sigma_{T-u}^2 "
    r"\bar\sigma_{T-u}^{-4} du + v_{T-s_j}^{-2} \mathbb{E}\,\mathrm{tr}\Sigma_{T-s_j} "
    r"- v_{T-t}^{-2} \mathbb{E}\,\mathrm{tr}\Sigma_{T-t}",
    printed=Claim(
        "printed", "Gaussian data: every step, from the joint law", OnDesigns(_lemma_12), "="
    ),
    supporting=(
        Claim("information", "it equals I(v_t) - I(v_s)", OnDesigns(_growth), "="),
        Claim(
            "mixtures",
            "mixtures: the middle step, by quadrature over both points",
            OnDesigns(_lemma_12_mixture, ("mixture",)),
            "=",
        ),
    ),
    derivation="Along the exact reverse process the score is a martingale, so the mean square of "
    "its change is the change of its mean square, I(v_t) - I(v_s), and I(v) = d/v - mmse(v)/v².",
    expected="holds",
)

STATEMENTS = (LEMMA_9, LEMMA_11, LEMMA_12)
