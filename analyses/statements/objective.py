"""Equations (3) to (7) and (12): the training objective, its denoising form and its weightings."""

from analyses import objective_sides as sides
from analyses import objective_studies as studies
from analyses.statement import Assumption, Claim, OnDesigns, Statement, Study
from design_space.bounds import objective
from design_space.weightings.conversions import from_w_corrected, from_w_printed

_SOURCE = "arXiv 2406.12839"

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
        sides.entropy_gained,
    ),
    derivation="By de Bruijn dH/dv = I(v)/2, and dv = 2 σ_t² dt: for w = 2 σ_t² and c times the "
    "exact score L_conti = (c - 1)² ∫ σ_t² I dt = (c - 1)² (H(p_T) - H(p_{t_0})). On a grid "
    "L_conti = E_S + (c - 1)² E_D, so E_S is a Riemann sum of it.",
    supporting=(
        _equal("mixtures", "the same on mixtures", sides.entropy_gained, **_MIXTURES),
        _equal("zero", "the exact score has loss zero", sides.zero, **_MIXTURES),
        _equal(
            "limit",
            "with w = 2 σ_t² the loss is E_S + (c - 1)² E_D, hence the limit of E_S",
            sides.limit(2.0),
        ),
    ),
    broken=(
        _equal("half", "with w = σ_t², half as much, it is the limit of E_S", sides.limit(1.0)),
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
        "printed", "with the factor 1/σ̄, for four weights w", sides.denoising(objective.equation_4)
    ),
    corrected=_equal(
        "corrected",
        "with the factor 1/σ̄², for four weights w",
        sides.denoising(objective.equation_4_corrected),
    ),
    corrected_latex=r"L_{\mathrm{conti}} = \tfrac12 \int w \frac{1}{\bar\sigma_t^2} "
    r"\mathbb{E}|\bar\sigma_t S + \xi|^2 dt - \tfrac12 \int w\, "
    r"\frac{\mathrm{mmse}(\bar\sigma_t^2)}{\bar\sigma_t^4}\, dt",
    derivation="σ̄ S + ξ = σ̄ (S - ∇log p_{t|0}), since ∇log p_{t|0} = -ξ/σ̄. So "
    "E|S - ∇log p_{t|0}|² = E|σ̄ S + ξ|²/σ̄²: the square of σ̄, not σ̄. The tower property "
    "E(ξ | X) = -σ̄ ∇log p_t makes the cross term that of score matching, and the rest is C_t; as "
    "printed it is right, and equals -mmse(v)/v².",
    supporting=(
        _equal(
            "mixtures",
            "the corrected form on mixtures, by nested quadrature",
            sides.denoising(objective.equation_4_corrected),
            **_MIXTURES,
        ),
        _equal("constant", "C_t is -mmse(v)/v²", sides.gaps),
        _equal("whole", "the corrected form with its constant on the right, w = 1", sides.whole),
        _equal("unit level", "the printed integrand is right where σ̄ = 1", sides.unit_level),
    ),
    broken=(
        _equal(
            "other noise",
            "the corrected form with noise ξ that is not the noise in X",
            sides.denoising(objective.equation_4_corrected, others=True),
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
    "which β_j carries along: with it the sum tends to the printed right-hand side of (4), not to "
    "L_conti.",
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
        "printed", "the exact score has loss -C̄ with β_j as printed", sides.floor(from_w_printed)
    ),
    corrected=_equal(
        "corrected",
        "the exact score has loss -C̄ with β_j over σ̄_j²",
        sides.floor(from_w_corrected),
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
            sides.floor(from_w_corrected),
            **_MIXTURES,
        ),
        _equal("excess", "any score has the floor plus (1/2) Σ β_j v_j e_j", sides.excess),
    ),
    broken=(
        _equal(
            "inexact",
            "a score that is not exact has loss -C̄ too",
            sides.floor(from_w_corrected, exact=False),
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
