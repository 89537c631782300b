"""Equations (3) to (7) and (12): the training objective, its denoising form and its weightings."""

from collections.abc import Callable

import jax.numpy as jnp

from analyses import objective_studies as studies
from analyses import residuals
from analyses.cases import Case
from analyses.statement import Assumption, Claim, OnDesigns, Sides, Statement, Study
from design_space.arrays import EPS, Array
from design_space.bounds import objective
from design_space.schedules.variance import AbstractVarianceSchedule
from design_space.weightings.conversions import from_w_corrected, from_w_printed
from design_space.weightings.named import edm_weighting

_SOURCE = "arXiv 2406.12839"

Weight = Callable[[Array], Array]


def _weights(variance: AbstractVarianceSchedule) -> tuple[Weight, ...]:
    """Weights w of forward time: none, two of score matching, and a bell."""
    bell = edm_weighting().density
    return (
        jnp.ones_like,
        lambda t: 2 * variance.diffusion(t),
        lambda t: variance.sigma(t) ** 2,
        lambda t: bell(variance.sigma(t)),
    )


def _time(case: Case) -> tuple[objective.TimeRule, Array]:
    """Times of quadrature from t_0 to T with their noise levels."""
    times = case.schedule.forward_times
    rule = objective.gauss_times(times[0], times[-1])
    return rule, case.schedule.variance.sigma(rule.times)


def _mismatches(case: Case, sigmas: Array) -> Array:
    score = residuals.case_score(case)
    return residuals.along(lambda s: residuals.mismatch(case.target, score, s), sigmas)


def _residuals(case: Case, sigmas: Array) -> Array:
    score = residuals.case_score(case)
    return residuals.along(lambda s: residuals.residual(case.target, score, s), sigmas)


def _mmse(case: Case, sigmas: Array) -> Array:
    return residuals.along(lambda s: residuals.least_error(case.target, s), sigmas)


def _loss(case: Case, factor: float = 2.0) -> Array:
    """Score matching with w = 2 sigma_t^2, or another factor than 2."""
    rule, sigmas = _time(case)
    w = factor * case.schedule.variance.diffusion(rule.times)
    return objective.equation_3(rule, w, _mismatches(case, sigmas))


def _entropy_gain(case: Case) -> Array:
    ends = case.schedule.forward_sigmas
    if residuals.nodes_of(case.target) is residuals.TWO:
        high, low = (case.target.entropy(ends[j] ** 2).value for j in (-1, 0))
    else:
        high, low = (residuals.entropy(case.target, ends[j]) for j in (-1, 0))
    return high - low


def _definition(factor: float = 2.0):
    def sides(case: Case) -> Sides:
        gain = _entropy_gain(case)
        return Sides(_loss(case, factor), (case.factor - 1) ** 2 * gain, 64 * EPS * gain)

    return sides


def _zero(case: Case) -> Sides:
    """The loss of the exact score is nothing beside that of the score zero."""
    rule, sigmas = _time(case)
    w = 2 * case.schedule.variance.diffusion(rule.times)
    exact = residuals.along(
        lambda s: residuals.mismatch(case.target, lambda x, t: case.target.score(x, t**2), s),
        sigmas,
    )
    gain = _entropy_gain(case)
    return Sides(gain + objective.equation_3(rule, w, exact), gain)


def _limit(factor: float):
    """E_S and what it misses of the integral, (factor - 1)^2 E_D, which goes as 1/N."""

    def sides(case: Case) -> Sides:
        missed = (case.factor - 1) ** 2 * case.errors.discretization.value
        budget = case.errors.score.value + missed
        return Sides(budget, _loss(case, factor), 64 * EPS * _entropy_gain(case))

    return sides


def _worst(left: Array, right: Array, error: Array) -> Sides:
    """Of equalities with their rounding errors the one that is farthest off."""
    size = jnp.maximum(jnp.maximum(jnp.abs(left), jnp.abs(right)), 1e-300)
    off = (jnp.abs(left - right) - error) / size
    index = jnp.argmax(jnp.where(jnp.isnan(off), jnp.inf, off))
    return Sides(left[index], right[index], error[index])


def _denoising(formula, others: bool = False):
    """L_conti - (1/2) int w C against the denoising integral, for each of the weights.

    The constant stands on the left, so that nothing cancels.
    """

    def sides(case: Case) -> Sides:
        rule, sigmas = _time(case)
        left, floor = _mismatches(case, sigmas), _mmse(case, sigmas) / sigmas**4
        right = _independent_noise(case, sigmas) if others else _residuals(case, sigmas)
        none = jnp.zeros_like(sigmas)
        rounding = residuals.rounding(case, sigmas, right) / sigmas**2
        rows = []
        for weight in _weights(case.schedule.variance):
            w = weight(rule.times)
            rows.append(
                (
                    objective.equation_3(rule, w, left + floor),
                    formula(rule, w, sigmas, right, none),
                    objective.equation_3(rule, w, rounding),
                )
            )
        return _worst(*(jnp.stack(column) for column in zip(*rows, strict=True)))

    return sides


def _independent_noise(case: Case, sigmas: Array) -> Array:
    """E|sigma S(X) + xi'|^2 for noise xi' that is not the one in X: v E|S|^2 + d."""
    score = residuals.case_score(case)

    def silent(x: Array, sigma: Array) -> Array:  # E|S|^2 = E|(S + L) - L|^2
        return score(x, sigma) + case.target.score(x, sigma**2)

    squares = residuals.along(lambda s: residuals.mismatch(case.target, silent, s), sigmas)
    return sigmas**2 * squares + case.target.dim


def _unit_level(case: Case) -> Sides:
    """The integrand of the printed form at the one noise level where it is right."""
    one = jnp.ones(1)
    rule = objective.TimeRule(one, one)
    left = _mismatches(case, one) + _mmse(case, one)
    right = objective.equation_4(rule, one, one, _residuals(case, one), 0 * one)
    return Sides(objective.equation_3(rule, one, left), right)


def _gaps(case: Case) -> Sides:
    """C by its definition and by mmse; the definition cancels."""
    v, dim = case.variances, case.target.dim
    left = objective.gap(case.information, dim, v)
    return _worst(left, objective.gap_by_mmse(case.mmse, v), 16 * EPS * dim / v)


def _levels(case: Case) -> tuple[Array, Array, Array]:
    """Noise levels 1, ..., N in forward order, with information and mmse there."""
    forward = (case.information[::-1][1:], case.mmse[::-1][1:])
    return case.schedule.forward_sigmas[1:], *forward


def _floor(conversion, factor: bool):
    """The loss (6) against -C_bar, for each of the weights."""

    def sides(case: Case) -> Sides:
        sigmas, _, mmse = _levels(case)
        gaps = objective.gap_by_mmse(mmse, sigmas**2)
        chosen = case.factor if factor else jnp.asarray(1.0)
        score = lambda x, s: chosen * case.target.score(x, s**2)  # noqa: E731
        found = residuals.along(lambda s: residuals.residual(case.target, score, s), sigmas)
        rows = []
        for weight in _weights(case.schedule.variance):
            w = weight(case.schedule.forward_times[1:])
            beta = conversion(weight).total(case.schedule)
            rows.append(
                (
                    objective.equation_6(beta, found),
                    -objective.equation_5_constant(case.schedule, w, gaps),
                    objective.equation_6(beta, residuals.rounding(case, sigmas, found)),
                )
            )
        return _worst(*(jnp.stack(column) for column in zip(*rows, strict=True)))

    return sides


def _excess(case: Case) -> Sides:
    """The loss of any score is the floor plus (1/2) sum beta_j v_j e_j."""
    sigmas, information, mmse = _levels(case)
    beta = edm_weighting().total(case.schedule)
    found = _residuals(case, sigmas)
    floor = objective.equation_6_floor(beta, mmse, sigmas**2)
    excess = objective.equation_6(beta, sigmas**2 * (case.factor - 1) ** 2 * information)
    error = objective.equation_6(beta, residuals.rounding(case, sigmas, found))
    return Sides(objective.equation_6(beta, found), floor + excess, error)


_EXACT = Assumption("the score is exact", lambda case: case.factor == 1)


def _equal(name: str, says: str, check, **options) -> Claim:
    check = Study(check) if options.pop("study", False) else OnDesigns(check, **_only(options))
    return Claim(name, says, check, "=", **options)


def _only(options: dict) -> dict:
    return {key: options.pop(key) for key in ("on", "dropped", "where") if key in options}


_MIXTURES = {"on": ("mixture",)}

EQUATION_3 = Statement(
    id="equation-3",
    title="Score matching",
    source=f"Eq. (3) of {_SOURCE}",
    says="The loss of a score is the weighted mean square of its difference to the exact one, over "
    "all times. A definition: checked are its zero, its scale and its place in the error budget.",
    latex=r"L_{\mathrm{conti}} = \tfrac12 \int_{t_0}^T w(t)\, "
    r"\mathbb{E}|S - \nabla \log p_t|^2 \, dt",
    printed=_equal(
        "printed",
        "for c times the exact score and w = 2 σ_t² the loss is (c - 1)² times the entropy gained",
        _definition(),
    ),
    derivation="By de Bruijn dH/dv = I(v)/2, and dv = 2 σ_t² dt: for w = 2 σ_t² and c times the "
    "exact score L_conti = (c - 1)² ∫ σ_t² I dt = (c - 1)² (H(p_T) - H(p_{t_0})). On a grid "
    "L_conti = E_S + (c - 1)² E_D, so E_S is a Riemann sum of it.",
    supporting=(
        _equal("mixtures", "the same on mixtures", _definition(), **_MIXTURES),
        _equal("zero", "the exact score has loss zero", _zero),
        _equal(
            "limit",
            "with w = 2 σ_t² the loss is E_S + (c - 1)² E_D, hence the limit of E_S",
            _limit(2.0),
        ),
    ),
    broken=(
        _equal("half", "with w = σ_t², half as much, it is the limit of E_S", _limit(1.0)),
    ),
    expected="holds",
)

EQUATION_4 = Statement(
    id="equation-4",
    title="Score matching and denoising",
    source=f"Eq. (4) of {_SOURCE}",
    says="The loss of score matching is a denoising loss plus a constant that no score can change.",
    latex=r"L_{\mathrm{conti}} = \tfrac12 \int w \frac{1}{\bar\sigma_t} "
    r"\mathbb{E}|\bar\sigma_t S + \xi|^2 dt + \tfrac12 \int w\, C_t\, dt, \quad "
    r"C_t = \mathbb{E}|\nabla \log p_t|^2 - \mathbb{E}|\nabla \log p_{t|0}|^2",
    printed=_equal(
        "printed", "with the factor 1/σ̄, for four weights w", _denoising(objective.equation_4)
    ),
    corrected=_equal(
        "corrected",
        "with the factor 1/σ̄², for four weights w",
        _denoising(objective.equation_4_corrected),
    ),
    corrected_latex=r"L_{\mathrm{conti}} = \tfrac12 \int w \frac{1}{\bar\sigma_t^2} "
    r"\mathbb{E}|\bar\sigma_t S + \xi|^2 dt - \tfrac12 \int w\, "
    r"\frac{\mathrm{mmse}(\bar\sigma_t^2)}{\bar\sigma_t^4}\, dt",
    derivation="σ̄ S + ξ = σ̄ (S - ∇log p_{t|0}), since ∇log p_{t|0} = -ξ/σ̄. So "
    "E|S - ∇log p_{t|0}|² = E|σ̄ S + ξ|²/σ̄²: the square of σ̄, not σ̄. The tower property "
    "E(ξ | X) = -σ̄ ∇log p_t makes the cross term that of score matching, and the rest is C_t, which "
    "is right as printed and equals -mmse(v)/v².",
    supporting=(
        _equal(
            "mixtures",
            "the corrected form on mixtures, by nested quadrature",
            _denoising(objective.equation_4_corrected),
            **_MIXTURES,
        ),
        _equal("constant", "C_t is -mmse(v)/v²", _gaps, on=("named", "gaussian", "mixture")),
        _equal("unit level", "the printed integrand is right where σ̄ = 1", _unit_level),
    ),
    broken=(
        _equal(
            "other noise",
            "the corrected form with noise ξ that is not the noise in X",
            _denoising(objective.equation_4_corrected, others=True),
        ),
    ),
    expected="fails as printed; corrected form holds",
)

EQUATION_5 = Statement(
    id="equation-5",
    title="From the integral to noise levels",
    source=f"Eq. (5) of {_SOURCE}",
    says="The loss over all times is about a sum over the noise levels of the schedule, with an "
    "error of order 1/N.",
    latex=r"L_{\mathrm{conti}} \approx \bar L + \bar C, \quad "
    r"\bar C = \tfrac12 \sum_j w(t_j)(t_j - t_{j-1}) C_{t_j}",
    printed=_equal(
        "printed",
        "with β_j as printed the difference falls as 1/N",
        studies.orders(objective.equation_5),
        study=True,
    ),
    corrected=_equal(
        "corrected",
        "with β_j over σ̄_j² the difference falls as 1/N",
        studies.orders(objective.equation_5_corrected),
        study=True,
    ),
    corrected_latex=r"\bar L = \tfrac12 \sum_j w(t_j) \frac{t_j - t_{j-1}}{\bar\sigma_j^2} "
    r"\mathbb{E}|\bar\sigma_j S + \xi|^2",
    derivation="The step from the integral to the sum is sound: a right-hand Riemann sum, of order "
    "one where the integrand rises or falls all the way. What fails is only the factor of eq. (4), "
    "which β_j carries along: with it the sum tends to the printed right-hand side of (4), which is "
    "not L_conti.",
    supporting=(
        _equal(
            "limit",
            "extrapolated from N and N/2 the corrected sum is the integral",
            studies.limits,
            study=True,
            to=studies.LIMIT_TO,
        ),
    ),
    broken=(
        _equal(
            "closed ends",
            "the order is one also where the weight vanishes at both ends of uniform times",
            studies.closed_ends,
            study=True,
        ),
    ),
    expected="fails as printed; corrected form holds",
)

EQUATION_6 = Statement(
    id="equation-6",
    title="The total weighting",
    source=f"Eq. (6) of {_SOURCE}",
    says="The loss over noise levels has the total weighting β_j that w gives it; the exact score "
    "brings it down to -C̄ and no further.",
    latex=r"\bar L = \tfrac12 \sum_j \beta_j \mathbb{E}|\bar\sigma_j S + \xi|^2, \quad "
    r"\beta_j = w(t_j) \frac{t_j - t_{j-1}}{\bar\sigma_j}",
    printed=_equal(
        "printed", "the exact score has loss -C̄ with β_j as printed", _floor(from_w_printed, False)
    ),
    corrected=_equal(
        "corrected",
        "the exact score has loss -C̄ with β_j over σ̄_j²",
        _floor(from_w_corrected, False),
    ),
    corrected_latex=r"\beta_j = w(t_j) \frac{t_j - t_{j-1}}{\bar\sigma_j^2}, \quad "
    r"\min \bar L = -\bar C = \tfrac12 \sum_j \beta_j \frac{\mathrm{mmse}(v_j)}{v_j}",
    derivation="β_j takes its factor from eq. (4). At the exact score E|σ̄ L + ξ|² = mmse(v)/v, so "
    "with w (t_j - t_{j-1})/σ̄_j² the loss is (1/2) Σ w Δt mmse/v² = -C̄; with the printed factor "
    "each level counts σ̄_j times as much.",
    supporting=(
        _equal(
            "mixtures",
            "the corrected form on mixtures",
            _floor(from_w_corrected, False),
            **_MIXTURES,
        ),
        _equal("excess", "any score has the floor plus (1/2) Σ β_j v_j e_j", _excess),
    ),
    broken=(
        _equal(
            "inexact",
            "a score that is not exact has loss -C̄ too",
            _floor(from_w_corrected, True),
            dropped=_EXACT,
        ),
    ),
    expected="fails as printed; corrected form holds",
)

EQUATION_7 = Statement(
    id="equation-7",
    title="The empirical loss",
    source=f"Eq. (7) of {_SOURCE}",
    says="The loss over data and their noise is an unbiased estimate of the loss (6), for every "
    "score that does not look at the data.",
    latex=r"\bar L_{\mathrm{em}} = \frac{1}{2n} \sum_{i=1}^n \sum_{j=1}^N f_{ij}, \quad "
    r"f_{ij} = \beta_j |\bar\sigma_j S(X_{ij}) + \xi_{ij}|^2",
    printed=_equal(
        "printed", "the mean over fresh data and noise is (6)", studies.unbiased, study=True
    ),
    derivation="Each f_ij has the law of β_j |σ̄_j S(X) + ξ|². For fixed data the mean over the "
    "noise is the loss (6) of the empirical law of the data, whose floor is its own -C̄.",
    supporting=(
        _equal(
            "fixed data",
            "for fixed data the mean over noise is the loss (6) of their empirical law",
            studies.fixed_data,
            **_MIXTURES,
        ),
    ),
    broken=(
        _equal(
            "fitted",
            "a score fitted to the data has, in the mean, the least loss of (6)",
            studies.fitted,
            study=True,
        ),
        _equal("normalizer", "with 1/n in place of 1/(2n)", studies.twice, study=True),
    ),
    expected="holds",
)

EQUATION_12 = Statement(
    id="equation-12",
    title="EDM's objective",
    source=f"Eq. (12) of {_SOURCE}",
    says="EDM's loss, a weighted error of a denoiser at log-normal noise levels, is a denoising "
    "loss with the total weighting β_EDM, up to a constant Z.",
    latex=r"\mathbb{E}_{\ln\sigma \sim N(P_{\mathrm{mean}}, P_{\mathrm{std}}^2)} \lambda(\sigma) "
    r"\mathbb{E}|D(x + \sigma\xi) - x|^2 = \frac1Z \int \beta_{\mathrm{EDM}}(\sigma) "
    r"\mathbb{E}|\sigma S + \xi|^2 d\sigma",
    printed=_equal("printed", "with Z = √(2π) P_std", studies.edm_objective(), study=True),
    derivation="D = X + σ² S gives D - x = σ (σ S + ξ). The density of σ is "
    "exp(-(ln σ - P_mean)²/(2 P_std²))/(√(2π) P_std σ), and λ σ² = (σ² + σ_data²)/σ_data²; their "
    "product is β_EDM/Z with Z = √(2π) P_std.",
    broken=(
        _equal("no normalizer", "with Z = 1", studies.edm_objective(z=1.0), study=True),
        _equal(
            "other measure",
            "with d ln σ in place of dσ",
            studies.edm_objective(logarithmic=True),
            study=True,
        ),
    ),
    expected="holds",
)

STATEMENTS = (EQUATION_3, EQUATION_4, EQUATION_5, EQUATION_6, EQUATION_7, EQUATION_12)
