"""Equation (10) and the path identity: what the sampler is, and where its error comes from."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from analyses.cases import Case
from analyses.families import random_gaussians
from analyses.pairs import pair_expectation
from analyses.statement import Claim, Observations, OnDesigns, Sides, Statement, Study, worst_entry
from design_space.arrays import Array
from design_space.errors.one_step import one_step_kl
from design_space.numerics.quadrature import gauss_legendre
from design_space.sampling.gaussian_law import exact_score_law
from design_space.sampling.simulate import simulate
from design_space.schedules.schedule import Schedule
from design_space.scores.exact import exact_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.line import Line, at_point

_ALL = ("named", "gaussian", "mixture")


def _removed(case: Case) -> Sides:
    """The variance that each step adds by (10), int 2 sigma_t^2 dt, by quadrature in log time."""
    schedule, times = case.schedule.variance, case.schedule.backward_times
    share, weights = (jnp.asarray(x) for x in gauss_legendre(64))

    def step(late: Array, early: Array) -> Array:
        width = jnp.log(late / early)
        t = early * jnp.exp(width * share)
        return width * weights @ (2 * schedule.diffusion(t) * t)

    return worst_entry(jax.vmap(step)(times[:-1], times[1:]), case.variance_steps)


_PARTICLES, _CONFIDENCE = 512, 0.99
_SIMULATED = ((1, 6, 320), (4, 12, 192))  # dimension, steps, designs


def _simulated() -> Observations:
    """First moments of particles against the law, along the first axis, many designs at once."""
    designs = [d for shape in _SIMULATED for d in random_gaussians(*shape, seed=7)]
    found = []
    for shape in _SIMULATED:
        batch = [d for d in designs if d.shape[1:] == shape[:2]]
        each = ((d.means[0], d.variances[0], d.sigmas) for d in batch)
        numbers = (np.stack(x) for x in zip(*each, strict=True))
        keys = jax.random.split(jax.random.key(11), len(batch))
        found.append(np.asarray(jax.jit(jax.vmap(_moments))(*map(jnp.asarray, numbers), keys)))
    mean, variance, law_mean, law_variance = np.concatenate(found).T
    each = (1 - _CONFIDENCE) / (2 * len(designs))  # Bonferroni, over means and variances
    n = _PARTICLES
    wide = stats.norm.ppf(1 - each / 2) * np.sqrt(law_variance / n)
    high, low = (stats.chi2.ppf(q, n - 1) / (n - 1) for q in (1 - each / 2, each / 2))
    # Each variance lies in [low, high] times the law's with that probability.
    spread = np.where(variance > law_variance, high - 1, 1 - low) * law_variance
    names = tuple(f"{d.name}, {what}" for what in ("mean", "variance") for d in designs)
    left, right = np.concatenate([mean, variance]), np.concatenate([law_mean, law_variance])
    error = np.concatenate([wide, spread])
    return Observations(left, right, error, names, len(designs), (), _CONFIDENCE)


def _moments(mean: Array, variances: Array, sigmas: Array, key: Array) -> Array:
    """Mean and variance of the particles' first coordinate, and those of the law."""
    target, schedule = Gaussian.diagonal(mean, variances), Schedule.from_sigmas(sigmas)
    found = simulate(exact_score(target), schedule, key, count=_PARTICLES, dim=len(mean))
    first = found.particles[:, 0]
    steps = schedule.backward_variance_steps
    law = exact_score_law(mean, variances, schedule.backward_variances, steps)
    total = variances[0] + schedule.backward_variances[-1] + law.excess[0]
    return jnp.stack([jnp.mean(first), jnp.var(first, ddof=1), mean[0] + law.shift[0], total])


EQUATION_10 = Statement(
    id="equation-10",
    title="The sampler",
    source="eq. (10) of arXiv 2406.12839",
    says="On each step the reverse SDE is solved with the score frozen, from N(0, v₀ I).",
    latex=r"d\bar Y = 2\sigma_{T-t}^2 S(T - s_j, \bar Y_{s_j}) dt + \sqrt{2\sigma_{T-t}^2} dW "
    r"\ \Rightarrow\ \bar Y_{j+1} = \bar Y_j + h_j s_j(\bar Y_j) + \sqrt{h_j} U_j",
    printed=Claim(
        "printed",
        "a step moves by ∫2σ²dt = v_j - v_{j+1} times the score, and adds as much variance",
        OnDesigns(_removed, _ALL),
        "=",
    ),
    supporting=(
        Claim(
            "particles",
            "mean and variance of 512 simulated particles are those of the law (99 % in all)",
            Study(_simulated),
            "=",
        ),
    ),
    derivation="The law of the sampler depends on a design only through its noise variances: the "
    "pair of a variance schedule and a time schedule collapses to its grid.",
    expected="holds",
)


def _kernels(case: Case) -> Sides:
    """E_I plus the mean KL of the two kernels of every step, against E_I + E_S + E_D."""
    values, v = case.target.components().variances[0], case.variances
    steps = jax.vmap(lambda a, b: one_step_kl(values, a, b, case.factor))(v[:-1], v[1:])
    errors = case.errors
    return Sides(errors.initialization.value + jnp.sum(steps), errors.path_kl.value)


def _kernels_on_line(case: Case) -> Sides:
    """The same by quadrature over both ends of every step, for any law on the line."""

    def step(high: Array, low: Array) -> tuple[Array, Array]:
        h = high - low

        def log_ratio(line: Line, x: Array, y: Array, xi: Array) -> Array:
            start, end = at_point(line, y, high), at_point(line, x, low)
            forward = -0.5 * xi**2
            backward = -0.5 * (x - y - h * case.factor * start.score) ** 2 / h
            return end.log_density - start.log_density + forward - backward

        return pair_expectation(case.target, high, low, log_ratio)

    found, error = jax.lax.map(lambda pair: step(*pair), (case.variances[:-1], case.variances[1:]))
    errors = case.errors
    left = errors.initialization.value + jnp.sum(found)
    return Sides(left, errors.path_kl.value, jnp.sum(error) + errors.path_kl.error)


def _marginal(case: Case) -> Sides:
    marginal, path = case.errors.marginal_kl, case.errors.path_kl
    return Sides(marginal.value, path.value, marginal.error + path.error)


def _late_mismatch(case: Case) -> Sides:
    """E_S with the mismatch of the frozen score against the exact one at the end of each step."""
    values, v = case.target.components().variances[0], case.variances
    steps = jax.vmap(lambda a, b: one_step_kl(values, a, b, case.factor))(v[:-1], v[1:])
    # E|s_j - L_{j+1}|^2 = (factor - 1)^2 I_j + I_{j+1} - I_j
    later = case.mismatches + jnp.diff(case.information)
    errors, score = case.errors, 0.5 * jnp.sum(case.variance_steps * later)
    right = errors.initialization.value + errors.discretization.value + score
    return Sides(errors.initialization.value + jnp.sum(steps), right)


PATH_IDENTITY = Statement(
    id="path-identity",
    title="The exact path identity",
    source="design_space, docs/theory/exact_errors.md",
    says="For any data and any score, the KL of the sampling path is the sum of an initialization, "
    "a score and a discretization error, with no constants; the KL of its end is at most that.",
    latex=r"\mathrm{KL}_{\mathrm{path}} = \mathrm{KL}(p_{v_0}|N(0, v_0 I)) "
    r"+ \tfrac12 \sum_j h_j \mathbb{E}|s_j - L_{v_j}|^2 "
    r"+ \tfrac12 \sum_j \int_{v_{j+1}}^{v_j} (I(v) - I(v_j)) dv \ge \mathrm{KL}(p_{v_N} | q_N)",
    printed=Claim(
        "Gaussian data",
        "the sum of the kernels' divergences is the path KL",
        OnDesigns(_kernels),
        "=",
    ),
    supporting=(
        Claim(
            "mixtures",
            "the same on mixtures, by quadrature over both ends of every step",
            OnDesigns(_kernels_on_line, ("mixture",)),
            "=",
        ),
        Claim("marginal", "the marginal KL is below the path KL", OnDesigns(_marginal, _ALL)),
    ),
    broken=(
        Claim(
            "mismatch at the end",
            "the same with the score compared at the end of each step",
            OnDesigns(_late_mismatch),
            "=",
        ),
    ),
    derivation="Along the exact reverse process the score is a martingale, so the cross term of "
    "|s_j - L_v|² vanishes, and E|L_v - L_{v_j}|² = I(v) - I(v_j).",
    expected="holds",
)

STATEMENTS = (EQUATION_10, PATH_IDENTITY)
