"""Guidance by an exact classifier, between Gaussians, by particles, and what it does to a law."""

from collections.abc import Callable
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import quad

from analyses.guided_laws import (
    APART,
    BETWEEN,
    MODES,
    OVERLAP,
    STEPS,
    WIDE,
    Problem,
    carried,
    limit,
    limits,
    share_above,
)
from analyses.statement import Claim, Observations, Statement, Study
from analyses.statements.guidance import observed
from design_space.arrays import Array
from design_space.errors.metrics import sampler_metrics
from design_space.sampling.density_law import density_law
from design_space.sampling.flows import Churn, FlowHeun
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import AbstractStepper, Ancestral, Frozen
from design_space.schedules.named import edm
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.scores.guided import GuidedScore, classifier_guided, guided_exact
from design_space.targets.gaussian import Gaussian
from design_space.targets.labeled import LabeledMixture
from design_space.targets.mixture import GaussianMixture


def _random(dim: int, seed: int) -> LabeledMixture:
    """Five components of three classes, of full covariances."""
    random = np.random.default_rng(seed)
    roots = random.normal(size=(5, dim, dim)) / dim**0.5
    weights = random.dirichlet(np.full(5, 2.0))
    law = GaussianMixture(weights, 2 * random.normal(size=(5, dim)), roots @ roots.swapaxes(1, 2))
    return LabeledMixture(law, [0, 1, 2, 1, 0])


@eqx.filter_jit
def _scores(score: AbstractScore, x: Array, sigma: Array) -> Array:
    return jax.vmap(lambda y: score(y, sigma))(x)


def _classifier(on_class: bool, shift: float) -> Observations:
    """Classifier guidance at w against guidance with exact scores at w + shift."""
    rows, count = [], 0
    for dim in (1, 2, 5):
        labeled = _random(dim, dim)
        x = jnp.asarray(3 * np.random.default_rng(9).normal(size=(40, dim)))
        for w in (0.0, 0.5, 2.0, 7.5):
            start = exact_score(labeled.given(1)) if on_class else None
            both = classifier_guided(labeled, 1, w, start), guided_exact(labeled, 1, w + shift)
            for sigma in (0.05, 1.0, 20.0):
                left, right = (np.asarray(_scores(s, x, jnp.asarray(sigma))) for s in both)
                off = np.unravel_index(np.argmax(np.abs(left - right)), left.shape)
                # differences of scores of this size are rounded, and multiplied by w
                error = 1e-12 * float(np.max(np.abs(right))) * (1 + w)
                label = f"{dim} dimensions, w = {w:g}, σ = {sigma:g}"
                rows.append((float(left[off]), float(right[off]), error, label))
                count += len(x)
    return observed(rows, count)


CLASSIFIER = Statement(
    id="guidance-classifier",
    title="Guidance by the exact classifier",
    source="arXiv 2105.05233, 2207.12598",
    says="Classifier guidance with the exact classifier, s + w ∇log p_v(c|x), is classifier-free "
    "guidance of strength w with exact scores; on top of the score of the class it is strength "
    "1 + w.",
    latex=r"s + w \nabla \log p_v(c \mid x) = s + w (s_c - s), \qquad "
    r"s_c + w \nabla \log p_v(c \mid x) = s + (1 + w)(s_c - s)",
    printed=Claim(
        "same", "the two scores, to rounding", Study(lambda: _classifier(False, 0.0)), "=", to=0.0
    ),
    supporting=(
        Claim(
            "drift",
            "on top of the score of the class, strength 1 + w",
            Study(lambda: _classifier(True, 1.0)),
            "=",
            to=0.0,
        ),
    ),
    broken=(
        Claim(
            "one convention",
            "on top of the score of the class, strength w",
            Study(lambda: _classifier(True, 0.0)),
            "=",
            to=0.0,
        ),
    ),
    derivation="Bayes' rule at every noise level: ∇log p_v(c|x) = s_c - s.",
    expected="holds",
)

PAIRS = ((0.04, 1.0), (0.25, 0.36), (1.0, 4.0), (1.0, 0.49))
"""Variances of the conditional and of the unconditional Gaussian; means 1 and 0."""

_WS = (0.5, 1.5, 2.0)
_LOW, _HIGH = 0.02, 50.0


def _by_formula(pair: tuple[float, float], w: float) -> dict[str, float]:
    """Mean and variances of both limits started from N(0, v_0), and of the tilted law."""
    (c, u), low, high = pair, _LOW**2, _HIGH**2

    def phi(v: float) -> float:
        return float(np.exp(w * np.log(c + v) + (1 - w) * np.log(u + v)))

    def over(f: Callable[[float], float]) -> float:
        each = lambda t: f(np.exp(t)) * np.exp(t)  # noqa: E731
        return quad(each, np.log(low), np.log(high), epsabs=0, epsrel=1e-12, limit=200)[0]

    grown = over(lambda v: phi(v) ** -2)
    precision = w / (c + low) + (1 - w) / (u + low)
    return {
        "noise": phi(low) ** 2 * (high / phi(high) ** 2 + grown),
        "flow": high * phi(low) / phi(high),
        "noise mean": phi(low) * over(lambda v: w / (c + v) / phi(v)),
        "flow mean": phi(low) ** 0.5 * over(lambda v: w / (c + v) / 2 / phi(v) ** 0.5),
        "tilted": 1 / precision if precision > 0 else np.inf,
    }


def _measured(pair: tuple[float, float], w: float) -> dict[str, tuple[float, float]]:
    """The same limits from the toolkit's closed form of affine scores."""
    own, other = Gaussian([1.0], [[pair[0]]]), Gaussian([0.0], [[pair[1]]])
    score, found = GuidedScore(exact_score(own), exact_score(other), w), {}
    for name, stepper in (("noise", Frozen()), ("flow", FlowHeun())):
        rows = []
        for n in (200, 400, 800, 1600):
            grid = edm(n, sigma_min=_LOW, sigma_max=_HIGH)
            got = sampler_metrics(own, grid, score, stepper)
            rows.append([float(got.covariance.value[0, 0]), float(got.mean.value[0])])
        value, error = limit(np.array(rows))
        found[name] = (float(value[0]), float(error[0]) + 1e-12)
        found[f"{name} mean"] = (float(value[1]), float(error[1]) + 1e-12)
    return found


def _formulas() -> Observations:
    rows = []
    for pair in PAIRS:
        for w in _WS:
            theory, found = _by_formula(pair, w), _measured(pair, w)
            for name, (value, error) in found.items():
                label = f"{name}, variances {pair[0]:g} and {pair[1]:g}, w = {w:g}"
                rows.append((value, theory[name], error, label))
    return observed(rows, 8 * len(PAIRS) * len(_WS))


def _ordered(strengths: tuple[float, ...]) -> Observations:
    """Variance of the flow against that with noise, and of this against that of the tilted law."""
    rows = []
    for pair in PAIRS:
        for w in strengths:
            found = _by_formula(pair, w)
            label = f"variances {pair[0]:g} and {pair[1]:g}, w = {w:g}"
            error = 1e-9 * found["noise"]
            rows.append((found["flow"], found["noise"], error, f"flow and noise, {label}"))
            rows.append((found["noise"], found["tilted"], error, f"noise and tilted, {label}"))
    return observed(rows, len(rows))


GAUSSIANS = Statement(
    id="guidance-gaussian",
    title="Guidance between two Gaussians, in closed form",
    source="design_space, docs/theory/guidance.md; cf. arXiv 2408.09000",
    says="With Gaussian scores of variances C = s_c² + v and U = s_u² + v and φ = C^w U^{1-w}, the "
    "guided laws from far above stay Gaussian: with noise of variance φ²∫φ⁻² dv', without of "
    "variance φ. For w > 1 both are narrower than the tilted law (w/C - (w-1)/U)⁻¹, the flow the "
    "narrowest; for 0 < w < 1 it is the other way round.",
    latex=r"\phi = C^w U^{1-w}: \quad \phi \le \phi^2 \int_v^\infty \frac{dv'}{\phi^2} \le "
    r"\Big(\frac{w}{C} - \frac{w - 1}{U}\Big)^{-1} \quad (w > 1)",
    printed=Claim(
        "formulas",
        "variances and means of both limits, from the law of affine scores",
        Study(_formulas),
        "=",
        to=1e-6,
    ),
    supporting=(
        Claim(
            "order",
            "flow ≤ noise ≤ tilted for w = 1.2, 1.5, 2, 3",
            Study(lambda: _ordered((1.2, 1.5, 2.0, 3.0))),
        ),
    ),
    broken=(
        Claim(
            "order below one",
            "flow ≤ noise ≤ tilted for w = 0.3, 0.5, 0.8",
            Study(lambda: _ordered((0.3, 0.5, 0.8))),
        ),
    ),
    derivation="With A = w/C + (1-w)/U the variance follows dΣ/dv = 2AΣ - 1 with noise and AΣ "
    "without. T = 1/A has dT/dv = 1 - w(w-1)(1/C - 1/U)² T², at most 1 = 2AT - 1 where w > 1: "
    "comparing the linear equations gives Σ ≤ T. φ ≤ T by the inequality of means, so that "
    "Aφ ≥ 2Aφ - 1, and φ ≤ Σ.",
    expected="holds",
)

_SAMPLERS: dict[str, Callable[[], AbstractStepper]] = {
    "frozen": Frozen,
    "ancestral": Ancestral,
    "heun": FlowHeun,
    "churn": lambda: Churn(4.0, 0.0, float("inf"), 1.0),
}
PARTICLES = 1_000_000
_DEVIATIONS = 4.0  # of counts: 48 cells within 99 % together


def _counted(of: Problem, strength: float) -> Observations:
    """Shares of particles in cells against those of the density, with intervals."""
    edges, grid, rows = np.linspace(-2.0, 4.0, 13), edm(24, sigma_min=0.1, sigma_max=10.0), []
    score = guided_exact(of.labeled, of.label, strength)
    for name, made_by in _SAMPLERS.items():
        stepper = made_by()
        density = density_law(guided_exact(of.labeled, of.label, 2.0), stepper.moves(grid))
        x, q = density.grid.points(), np.exp(density.log_values) * density.grid.spacing
        total = np.concatenate([[0.0], np.cumsum((q[1:] + q[:-1]) / 2)])
        shares = np.diff(np.interp(edges, x, total))
        run = {"count": PARTICLES, "dim": 1, "stepper": stepper}
        made = np.asarray(simulate(score, grid, jax.random.key(8), **run).particles)[:, 0]
        counts = np.histogram(made, edges)[0] / PARTICLES
        for k, share in enumerate(shares):
            error = _DEVIATIONS * float(np.sqrt(share * (1 - share) / PARTICLES)) + 2e-5
            label = f"{of.name}, {name}, from {edges[k]:g} to {edges[k + 1]:g}"
            rows.append((float(counts[k]), float(share), error, label))
    return replace(observed(rows, len(_SAMPLERS)), confidence=0.99)


BY_PARTICLES = Statement(
    id="guidance-particles",
    title="Guided laws by particles",
    source="design_space, docs/theory/guidance.md",
    says="The densities of guided samplers on the line are those of a million particles.",
    latex=r"\frac1n \#\{i : Y_i \in (a, b]\} \to \int_a^b q",
    printed=Claim(
        "cells",
        "shares of particles between -2 and 4 in cells of 0.5, w = 2, four samplers",
        Study(lambda: _counted(MODES, 2.0)),
        "=",
        to=0.0,
    ),
    broken=(
        Claim(
            "another strength",
            "the densities of w = 2 are the law of particles at w = 2.2",
            Study(lambda: _counted(MODES, 2.2)),
            "=",
            to=0.0,
        ),
    ),
    derivation="Counts are binomial.",
    expected="holds",
)

LADDER = (1.0, 2.0, 4.0, 8.0)
_ONE_SIDED = (OVERLAP, APART, MODES)
_EVERY = (OVERLAP, APART, MODES, WIDE, BETWEEN)
_PLACES = (0.0, 1.0, 2.0)


def _rises(name: str, problems: tuple[Problem, ...]) -> Observations:
    """A number at each strength of the ladder against the same at the next."""
    rows = []
    for sampler in ("noise", "flow"):
        for of in problems:
            found = [limits(of.name, w, sampler)[name] for w in LADDER]
            for i in range(len(LADDER) - 1):
                (one, e), (other, f) = found[i], found[i + 1]
                label = f"{of.name}, w = {LADDER[i]:g} to {LADDER[i + 1]:g}, {sampler}"
                rows.append((one, other, e + f, label))
    return observed(rows, 2 * len(problems) * len(LADDER) * len(STEPS))


def _moves_away() -> Observations:
    """Masses above places at each strength against those at the next, at the most steps."""
    rows, count = [], STEPS[-1]
    for of in _ONE_SIDED:
        paths = [carried(of, w, count) for w in LADDER]
        for place in _PLACES:
            shares = [share_above(path, place) for path in paths]
            for i in range(len(LADDER) - 1):
                label = f"{of.name}, above {place:g}, w = {LADDER[i]:g} to {LADDER[i + 1]:g}"
                rows.append((shares[i], shares[i + 1], 1e-5, label))
    return observed(rows, len(_ONE_SIDED) * len(LADDER))


def _no_wider(problems: tuple[Problem, ...]) -> Observations:
    """The variance of the guided law against that of the class."""
    rows = []
    for sampler in ("noise", "flow"):
        for of in problems:
            own, error = limits(of.name, 1.0, sampler)["variance"]
            for w in LADDER[1:]:
                found = limits(of.name, w, sampler)["variance"]
                rows.append((found[0], own, found[1] + error, f"{of.name}, w = {w:g}, {sampler}"))
    return observed(rows, len(rows) * len(STEPS))


EFFECTS = Statement(
    id="guidance-effects",
    title="What guidance does to accuracy, means, variances and weights",
    source="design_space, docs/theory/guidance.md",
    says="On the line, with equal widths and the class on one side of all others, the guided law "
    "moves away from them as w grows, in the stochastic order: every quantile, the mean, "
    "E p(c|X) and the weight of the farther mode rise, past those of the class for w > 1. "
    "A single Gaussian class among components of its own covariance gets no wider.",
    latex=r"w \le w' \Rightarrow P(Y^w > y) \le P(Y^{w'} > y); \qquad "
    r"\mathrm{Var}(Y^w) \le s^2 + v \text{ for } w \ge 1",
    printed=Claim(
        "accuracy", "E p(c|X) rises with w", Study(lambda: _rises("accuracy", _ONE_SIDED))
    ),
    supporting=(
        Claim("mean", "the mean rises with w", Study(lambda: _rises("mean", _ONE_SIDED))),
        Claim("order", "the mass above 0, 1 and 2 rises with w", Study(_moves_away)),
        Claim(
            "width",
            "a Gaussian class among components of its width gets no wider",
            Study(lambda: _no_wider((OVERLAP, APART, BETWEEN))),
        ),
        Claim(
            "any mixture",
            "E p(c|X) rises with w on these mixtures, on one side or not",
            Study(lambda: _rises("accuracy", _EVERY)),
        ),
    ),
    broken=(
        Claim(
            "narrower",
            "guidance makes every class narrower",
            Study(lambda: _no_wider((OVERLAP, APART, WIDE))),
        ),
    ),
    derivation="With equal widths ∇log p_v(c|x) = (E_c[m|x] - E[m|x])/(s² + v) > 0 for a class to "
    "the right of all others: the drift rises with w at every point, and the paths of one Brownian "
    "motion keep their order. Its Hessian is -Cov(m|x)/(s² + v)² ≤ 0 for a single Gaussian: extra "
    "drift contracts.",
    expected="holds",
)

STATEMENTS = (CLASSIFIER, GAUSSIANS, BY_PARTICLES, EFFECTS)
