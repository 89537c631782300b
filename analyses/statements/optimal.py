"""Our own statements on designs: the best grids, the best step variance, the tangent law."""

import functools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from analyses.cases import Case, Design
from analyses.families import random_gaussians
from analyses.statement import Assumption, Claim, Observations, OnDesigns, Sides, Statement, Study
from design_space.arrays import EPS, Array
from design_space.bounds.optimality import (
    best_step_variance,
    discretization_constant,
    least_discretization,
    step_variance_gain,
    tangent_variance_ratio,
)
from design_space.errors.gaussian import discretization_total
from design_space.errors.one_step import one_step_kl
from design_space.numerics.divergences import gaussian_kl_terms, gaussian_w2_squared_terms
from design_space.optimal.path import geometric_sigmas
from design_space.optimal.tangent import tangent_sigmas
from design_space.sampling.gaussian_law import probability_flow_law

_OURS = "design_space, docs/theory/ledger.md"


def _values(case: Case) -> Array:
    return case.target.components().variances[0]


def _ends(case: Case) -> tuple[Array, Array]:
    return case.variances[0], case.variances[-1]


def _e_d(values: Array, sigmas: Array) -> Array:
    steps = (sigmas[:-1] - sigmas[1:]) * (sigmas[:-1] + sigmas[1:])
    return discretization_total(values, sigmas**2, steps)


def _least(case: Case) -> Array:
    return least_discretization(1, _values(case)[0], *_ends(case), case.schedule.steps)


def _geometric(case: Case) -> Sides:
    """E_D of the grid with s^2 + v geometric, s^2 the first eigenvalue, against the closed form."""
    value, steps = _values(case)[0], case.schedule.steps
    low, high = case.schedule.backward_sigmas[-1], case.schedule.backward_sigmas[0]
    sigmas = geometric_sigmas(value, steps, low, high)
    found = _e_d(value[None], sigmas)
    return Sides(found, _least(case), 1e-10 * found)


def _any_grid(case: Case) -> Sides:
    """The least E_D on N(m, s^2) against that of the case's own grid."""
    found = _e_d(_values(case)[:1], case.schedule.backward_sigmas)
    return Sides(_least(case), found, 1e-10 * found)


def _song_is_best(case: Case) -> Sides:
    """E_D of the grid that is geometric in v against that of the case's own grid."""
    low, high = case.schedule.backward_sigmas[-1], case.schedule.backward_sigmas[0]
    sigmas = geometric_sigmas(0.0, case.schedule.steps, low, high)
    found = _e_d(_values(case)[:1], case.schedule.backward_sigmas)
    return Sides(_e_d(_values(case)[:1], sigmas), found, 1e-10 * found)


PATH_OPTIMAL_GEOMETRIC = Statement(
    id="path-optimal-geometric",
    title="The best grid for a Gaussian",
    source=_OURS,
    says="On N(m, s² I) the grid with s² + v geometric has the least E_D at every number of steps; "
    "Song's grid, geometric in v, is its limit for near-Dirac data.",
    latex=r"E_D \ge \tfrac d2 \big(N (R^{1/N} - 1) - \ln R\big), \quad "
    r"R = \frac{s^2 + v_N}{s^2 + v_0}",
    printed=Claim("printed", "the closed form is below E_D of every grid", OnDesigns(_any_grid)),
    supporting=(Claim("attained", "the geometric grid attains it", OnDesigns(_geometric), "="),),
    broken=(
        Claim(
            "geometric in v",
            "Song's grid has the least E_D, whatever the data",
            OnDesigns(_song_is_best),
        ),
    ),
    derivation="With x_j = (s² + v_{j+1})/(s² + v_j) the error is (d/2) Σ (x_j - 1 - ln x_j), and "
    "the product of the x_j is R. The sum of the logarithms is fixed, so by the inequality of "
    "means Σ x_j is least where all x_j are equal.",
    expected="holds",
)

_TABLE = 16_385  # points of the table by which sqrt|I'| is shared out
_LEVELS = (128, 256, 512)


def _root(values: Array, v: Array) -> Array:
    """sqrt|I'(v)| of Gaussian data."""
    return jnp.sqrt(jnp.sum(1 / (values[None, :] + v[:, None]) ** 2, axis=1))


def _integrals(f: Array, spacing: Array) -> Array:
    """Integrals from the first point to every second one, by Simpson's rule."""
    pairs = spacing / 3 * (f[:-2:2] + 4 * f[1:-1:2] + f[2::2])
    return jnp.concatenate([jnp.zeros(1), jnp.cumsum(pairs)])


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, 0, None))
def _constant(values: Array, sigmas: Array, power: float) -> Array:
    """N E_D on grids that share int |I'|^power dv equally, at each N, and int sqrt|I'| dv."""
    high, low = 2 * jnp.log(sigmas[0]), 2 * jnp.log(sigmas[-1])
    y = jnp.linspace(low, high, _TABLE)
    root = _root(values, jnp.exp(y))
    share, whole = (_integrals(f * jnp.exp(y), y[1] - y[0]) for f in (root ** (2 * power), root))
    knots = y[::2]
    found = []
    for steps in _LEVELS:
        levels = jnp.interp(jnp.linspace(share[-1], 0.0, steps + 1), share, knots)
        found.append(steps * _e_d(values, jnp.exp(levels / 2)))
    return jnp.stack([*found, whole[-1]])


_SPECTRA = ((1, 256), (6, 192), (50, 64))


def _numbers(designs: Sequence[Design]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return ((design.variances[0], design.sigmas) for design in designs)


def _constants(power: float) -> Observations:
    """The limit of N E_D by extrapolation in 1/N, against the formula."""
    found, names = [], []
    for dim, count in _SPECTRA:
        designs = random_gaussians(dim, 2, count, seed=3)
        values, sigmas = (np.stack(x) for x in zip(*_numbers(designs), strict=True))
        found.append(np.asarray(_constant(jnp.asarray(values), jnp.asarray(sigmas), power)))
        names += [f"{dim} dimensions"] * count
    first, second, third, root = np.concatenate(found).T
    once = 2 * second - first, 2 * third - second  # without the term in 1/N
    limit = (4 * once[1] - once[0]) / 3
    error = np.abs(limit - once[1]) + 1e-7 * limit
    right = np.asarray(jax.vmap(discretization_constant)(jnp.asarray(root)))
    return Observations(limit, right, error, tuple(names), len(names))


PATH_OPTIMAL_CONSTANT = Statement(
    id="path-optimal-constant",
    title="How fast E_D falls on the best grids",
    source=_OURS,
    says="On the best grids N E_D tends to a quarter of the squared integral of √|I'|; they have a "
    "density of points proportional to √|I'|.",
    latex=r"N E_D \to \tfrac14 \Big(\int_{v_N}^{v_0} \sqrt{|I'(v)|}\, dv\Big)^2",
    printed=Claim(
        "printed",
        "N E_D extrapolated from N = 128, 256, 512",
        Study(lambda: _constants(0.5)),
        "=",
        to=1e-6,
    ),
    broken=(
        Claim(
            "another density",
            "the same limit on grids with points in proportion to |I'|^0.4",
            Study(lambda: _constants(0.4)),
            "=",
            to=1e-6,
        ),
    ),
    derivation="A short step costs ¼ |I'(v_j)| h_j². With h_j = 1/(N ρ(v_j)) for a density ρ of "
    "grid points the sum is (1/4N) ∫ |I'|/ρ dv, which is least for ρ proportional to √|I'|.",
    expected="holds",
)


def _step_variances(case: Case, factor: float) -> Array:
    """The sum of the steps' KL with a multiple of the best isotropic variance, exact score."""
    values, v = _values(case), case.variances
    h, information = case.variance_steps, case.information[:-1]
    best = jax.vmap(lambda a, b: best_step_variance(a, b, case.target.dim))(h, information)

    def step(high: Array, low: Array, tau: Array) -> Array:
        return one_step_kl(values, high, low, 1.0, factor * tau)

    return jnp.sum(jax.vmap(step)(v[:-1], v[1:], best))


def _gain(case: Case) -> Sides:
    h, information = case.variance_steps, case.information[:-1]
    gain = jax.vmap(lambda a, b: step_variance_gain(a, b, case.target.dim))(h, information)
    plain = case.errors.discretization.value
    # What is left after the gain is a difference of terms of the size of E_D.
    return Sides(_step_variances(case, 1.0), plain + jnp.sum(gain), 1e-9 * plain)


def _no_better(case: Case) -> Sides:
    best = _step_variances(case, 1.0)
    others = jnp.stack([_step_variances(case, c) for c in (0.97, 1.03)])
    return Sides(best, jnp.min(others), 1e-9 * case.errors.discretization.value)


def _isotropic(case: Case) -> Array:
    return jnp.ptp(_values(case)) == 0


def _frozen_variance_is_best(case: Case) -> Sides:
    plain = case.errors.discretization
    return Sides(plain.value, _step_variances(case, 1.0), plain.error)


STEP_VARIANCE = Statement(
    id="step-variance",
    title="The best variance of a step",
    source=_OURS,
    says="With the same mean, the isotropic step variance that costs least is h (1 - h I/d); it "
    "takes ½ Σ d [x + ln(1 - x)] off E_D, x = h I/d, all of it for isotropic Gaussian data.",
    latex=r"\tau_j = h_j (1 - x_j), \quad \Delta E_D = \tfrac d2 \sum_j [x_j + \ln(1 - x_j)], "
    r"\quad x_j = h_j I(v_j)/d",
    printed=Claim("printed", "E_D with these variances", OnDesigns(_gain), "="),
    supporting=(
        Claim("optimal", "variances 3 % larger or smaller cost more", OnDesigns(_no_better)),
        Claim(
            "isotropic",
            "nothing is left on isotropic data",
            OnDesigns(
                lambda case: Sides(_step_variances(case, 1.0), 1e-12 * case.schedule.steps),
                where=(Assumption("the data are isotropic", _isotropic),),
            ),
        ),
    ),
    broken=(
        Claim(
            "the sampler's own",
            "the variance h of the frozen sampler costs no more",
            OnDesigns(_frozen_variance_is_best),
        ),
    ),
    derivation="Tweedie over one step gives E|Y' - Y - h L|² = h d - h² I, so the mean KL with "
    "variance τ is that with h plus ½ [d ln(τ/h) + (h d - h² I)(1/τ - 1/h)], least at "
    "τ = h - h² I/d.",
    expected="holds",
)

_NOT_DIRAC = Assumption("the data have a variance", lambda case: _values(case)[0] > 1e-6)


def _flow(case: Case, sigmas: Array, mean: float) -> tuple[Array, Array, Array]:
    """Marginal KL and W2² of Euler's probability flow on one axis, and the variance ratio q/p."""
    value = _values(case)[:1]
    law = probability_flow_law(jnp.asarray([mean]), value, sigmas)
    terms = (value + sigmas[-1] ** 2, law.excess, law.shift)
    ratio = 1 + law.excess[0] / terms[0][0]
    return gaussian_kl_terms(*terms)[0], gaussian_w2_squared_terms(*terms)[0], ratio


def _tangent(case: Case) -> Array:
    sigmas = case.schedule.backward_sigmas
    return tangent_sigmas(_values(case)[0], case.schedule.steps, sigmas[-1], sigmas[0])


def _tangent_ratio(case: Case) -> Sides:
    ratio = _flow(case, _tangent(case), 0.0)[2]
    right = tangent_variance_ratio(_values(case)[0], *_ends(case), case.schedule.steps)
    # 1 + excess/final is known to EPS, and the angles of close levels to EPS over their tangent.
    return Sides(ratio, right, 256 * EPS * case.schedule.steps)


def _tangent_is_best(mean: float, criterion: int):
    def sides(case: Case) -> Sides:
        best = _flow(case, _tangent(case), mean)[criterion]
        own = _flow(case, case.schedule.backward_sigmas, mean)[criterion]
        return Sides(best, own, 1e-10 * own + 1e-13)

    return sides


TANGENT_LAW = Statement(
    id="tangent-law",
    title="The best grid for Euler's probability flow",
    source="arXiv 2601.13602; design_space, docs/theory/ledger.md",
    says="On N(0, c² I), Euler's method for the probability flow errs least at every number of "
    "steps with σ = c tan(angle) at equidistant angles, and its variance ratio is explicit.",
    latex=r"\frac{\mathrm{Var}\, q_N}{c^2 + v_N} = \frac{v_0}{c^2+v_0} "
    r"\cos\Big(\frac AN\Big)^{2N}, \quad A = \arctan\frac{\sigma_0}{c} - \arctan\frac{\sigma_N}{c}",
    printed=Claim(
        "printed", "the variance ratio", OnDesigns(_tangent_ratio, where=(_NOT_DIRAC,)), "="
    ),
    supporting=(
        Claim(
            "optimal",
            "its marginal KL is below that of every other grid",
            OnDesigns(_tangent_is_best(0.0, 0), where=(_NOT_DIRAC,)),
        ),
        Claim(
            "any mean",
            "also for data far from zero: the mean's part of the KL is the same on every grid",
            OnDesigns(_tangent_is_best(100.0, 0), where=(_NOT_DIRAC,)),
        ),
    ),
    broken=(
        Claim(
            "W2",
            "the same in W2 for data far from zero: what widens the law also moves its mean away",
            OnDesigns(_tangent_is_best(100.0, 1), where=(_NOT_DIRAC,)),
        ),
    ),
    derivation="With σ = c tan a each step multiplies the deviation from the mean by "
    "cos(a - a') cos a/cos a'. The quotients telescope and Π cos(a_j - a_{j+1}) is largest for "
    "equal differences, log cos being concave; the sampler's variance is always too small. The "
    "error of its mean grows with the same product as its standard deviation, so that the mean "
    "adds |m|²/(2 v₀) to the KL on every grid.",
    expected="holds",
)

STATEMENTS = (PATH_OPTIMAL_GEOMETRIC, PATH_OPTIMAL_CONSTANT, STEP_VARIANCE, TANGENT_LAW)
