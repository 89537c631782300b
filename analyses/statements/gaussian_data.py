"""Lemmas 13 to 15: Gaussian data under the exact score, against the recursion of the sampler."""

import jax
import jax.numpy as jnp

from analyses.cases import Case
from analyses.statement import Claim, OnDesigns, Sides, Statement, worst_entry
from design_space.arrays import EPS, Array
from design_space.bounds import gaussian
from design_space.errors.gaussian import commuting_errors
from design_space.sampling.gaussian_law import exact_score_law

_SOURCE = "arXiv 2406.12839"


def _data(case: Case) -> tuple[Array, Array]:
    """Means and variances of the data, [dim]."""
    return case.target.mean(), case.target.components().variances[0]


def _grid(case: Case) -> tuple[Array, Array]:
    return case.variances, case.variance_steps


def _kl(case: Case) -> tuple[Array, Array]:
    """The marginal KL of the exact score by the recursion, and how well the formulas know it.

    The ratio E is known to some EPS per step, and the KL moves by |E - 1| = O(sqrt KL) times that.
    """
    found = commuting_errors(*_data(case), *_grid(case)).marginal_kl
    return found, 16 * EPS * case.schedule.steps * jnp.sqrt(case.target.dim * found)


def _lemma_13(formula):
    def sides(case: Case) -> Sides:
        mean, variance = _data(case)
        each = jax.vmap(lambda m, s: formula(m, s, *_grid(case)))(mean, variance)
        found, error = _kl(case)
        return Sides(found, jnp.sum(each), error)

    return sides


def _law_after(case: Case, step: Array) -> tuple[Array, Array]:
    """Mean and variance of the sampler after so many steps, per dimension."""
    mean, variance = _data(case)
    index = jnp.arange(case.schedule.steps)
    v = jnp.maximum(case.variances, case.variances[step])
    law = exact_score_law(mean, variance, v, jnp.where(index < step, case.variance_steps, 0.0))
    return mean + law.shift, variance + v[-1] + law.excess


def _laws(case: Case) -> tuple[Array, Array]:
    """The same after every number of steps, [steps + 1, dim]."""
    return jax.vmap(lambda step: _law_after(case, step))(jnp.arange(case.schedule.steps + 1))


def _ratio(case: Case) -> Sides:
    _, variance = _data(case)
    ends = _law_after(case, jnp.asarray(case.schedule.steps))[1] / (variance + case.variances[-1])
    given = jax.vmap(lambda s: gaussian.lemma_13_inverse_ratio(s, *_grid(case)))(variance)
    return worst_entry(ends, given)


def _means(formula):
    def sides(case: Case) -> Sides:
        mean, variance = _data(case)
        given = jax.vmap(lambda m, s: formula(m, s, case.variances))(mean, variance).T
        found = _laws(case)[0]
        size = jnp.max(jnp.abs(mean)) + jnp.zeros_like(found)
        # Near zero at the start: differences are measured against the size of the mean.
        return worst_entry(found + 2 * size, given + 2 * size)

    return sides


def _variances(case: Case) -> Sides:
    _, variance = _data(case)
    given = jax.vmap(lambda s: gaussian.lemma_15_variance(s, *_grid(case)))(variance).T
    return worst_entry(_laws(case)[1], given)


def _score(case: Case) -> Sides:
    """The score at a point two standard deviations off, as the slope of the log density."""
    mean, variance = _data(case)
    noise = case.variances[case.schedule.steps // 2]
    x = mean + 2 * jnp.sqrt(variance + noise) * jnp.cos(1.0 + jnp.arange(len(mean)))
    slope = jax.grad(lambda y: case.target.log_density(y, noise))(x)
    given = jax.vmap(lambda *a: gaussian.lemma_14_score(*a, noise))(x, mean, variance)
    return worst_entry(slope, given)


def _equal(name: str, says: str, sides, **options) -> Claim:
    return Claim(name, says, OnDesigns(sides, **options), "=")


LEMMA_13 = Statement(
    id="lemma-13",
    title="The divergence on Gaussian data",
    source=f"Lemma 13 of {_SOURCE}",
    says="On N(m, s² I), with the exact score, the KL of the sampler is an explicit function of "
    "the variance ratio E and the mean.",
    latex=r"\mathrm{KL} = \tfrac d2 (E - 1 - \log E) + |m|^2 \frac{(s^2+v_0)^2}{s^2+v_N} E, "
    r"\quad \frac1E = \frac{(s^2+v_N) v_0}{(s^2+v_0)^2} "
    r"+ \sum_j \frac{(s^2+v_N) h_j}{(s^2+v_{j+1})^2}",
    printed=_equal("printed", "KL equals the printed expression", _lemma_13(gaussian.lemma_13)),
    corrected=_equal(
        "corrected", "KL with the corrected mean term", _lemma_13(gaussian.lemma_13_corrected)
    ),
    corrected_latex=r"\mathrm{KL} = \tfrac d2 (E - 1 - \log E) "
    r"+ \tfrac12 |m|^2 \frac{s^2+v_N}{(s^2+v_0)^2} E",
    derivation="With the sign of Lemma 15 right, the mean of the sampler is off by "
    "m (s² + v_N)/(s² + v_0). The mean part of a Gaussian KL is half its square over the sampler's "
    "variance (s² + v_N)/E. In the printed term the fraction stands upside down and the half is "
    "missing. For centered data the printed form is right.",
    supporting=(_equal("ratio", "1/E is the ratio of the variances", _ratio),),
    expected="fails as printed; corrected form holds",
)

LEMMA_14 = Statement(
    id="lemma-14",
    title="The score of Gaussian data",
    source=f"Lemma 14 of {_SOURCE}",
    says="The score of noised Gaussian data is linear.",
    latex=r"\nabla \log p_t(x) = -\frac{x - m}{s^2 + \bar\sigma_t^2}",
    printed=_equal("printed", "the slope of log p equals the printed score", _score),
    expected="holds",
)

LEMMA_15 = Statement(
    id="lemma-15",
    title="The law of the sampler on Gaussian data",
    source=f"Lemma 15 of {_SOURCE}",
    says="With the exact score of N(m, s² I) the sampler stays Gaussian, with explicit mean and "
    "variance at every step.",
    latex=r"m_j = \frac{v_0 + v_j}{s^2 + v_0} m, \quad \Sigma_j = \Big(\frac{(s^2+v_j)^2 v_0}"
    r"{(s^2+v_0)^2} + \sum_{l<j} \frac{(s^2+v_j)^2 h_l}{(s^2+v_{l+1})^2}\Big) I",
    printed=_equal("printed", "means at every step", _means(gaussian.lemma_15_mean)),
    corrected=_equal(
        "corrected", "means with a minus sign", _means(gaussian.lemma_15_mean_corrected)
    ),
    corrected_latex=r"m_j = \frac{v_0 - v_j}{s^2 + v_0} m",
    derivation="The sampler starts from N(0, v_0 I), so m_0 = 0, which the printed formula misses: "
    "it gives 2 v_0 m/(s² + v_0). Each step multiplies the distance of the mean from m by "
    "(s² + v_{j+1})/(s² + v_j); the product telescopes to m - m_j = (s² + v_j) m/(s² + v_0).",
    supporting=(_equal("variances", "variances at every step", _variances),),
    expected="fails as printed; corrected form holds",
)

STATEMENTS = (LEMMA_13, LEMMA_14, LEMMA_15)
