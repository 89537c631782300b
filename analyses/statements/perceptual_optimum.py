"""The optimum of the self-perceptual loss for a score that can be anything, and its samplers."""

import itertools
from collections.abc import Callable

import numpy as np
from scipy.integrate import quad

from analyses.perceptual_mass import FLOWS, SEPARATIONS, WIDTHS, Comparison, compared, two_modes
from analyses.perceptual_training import trained
from analyses.statement import Claim, Observations, Statement, Study
from analyses.statements.perceptual_exact import SOURCE, observations
from design_space.numerics.statistics import CONFIDENCE
from design_space.optimal.perceptual import pointwise_optima
from design_space.optimal.perceptual_loss import Perceptual, TwoLayerFeature
from design_space.targets.line import Line


def _meets(right: Callable) -> Observations:
    found = trained()
    error = found.half_width + np.asarray(found.optimum.error)
    value = np.asarray(right(found.optimum))
    count = len(value) // 3
    labels = tuple(f"σ = {s:g}, bin {b}" for s in (0.5, 0.8, 1.3) for b in range(count))
    return Observations(found.mean, value, error, labels, len(found.seeds), (), CONFIDENCE)


_Y = np.linspace(-3.0, 3.0, 7)  # in units of (s^2 + sigma^2)/m, that of the posterior's turn


def _one_pair() -> Observations:
    """The noise of the optimum against f^{-1}(E[f(y') | y]) by adaptive quadrature."""
    rows = []
    laws = itertools.product(SEPARATIONS[:2], WIDTHS[2:])
    for (m, s), sigma, other in itertools.product(laws, (0.4, 0.7, 2.0, 5.0), (0.3, 1.4, 4.0)):
        line = Line.of(two_modes(m, s).components())
        loss, y = Perceptual(TwoLayerFeature(m, s * s), [other]), (s * s + sigma**2) / m * _Y
        found = pointwise_optima(line, loss, y, sigma)
        for x, noise, error in zip(y, found.noise, found.error, strict=True):
            right = _inverse_of_mean(m, s, x, sigma, other)
            label = f"m = {m:g}, s = {s:g}, σ = {sigma:g}, σ' = {other:g}, y = {x:.3g}"
            # 1e-12 of the quadrature, magnified where tanh is flat as the other error is
            rows.append((float(noise), right, 1e-8 + 10 * float(error), label))
    return observations(rows, len(rows))


def _inverse_of_mean(m: float, s: float, y: float, sigma: float, other: float) -> float:
    total, scale = s * s + sigma**2, (s * s + other**2) / m
    spread = s / np.sqrt(total)

    def mean(side: float) -> float:
        middle = sigma * (y - side * m) / total

        def value(z: float) -> float:
            place = y + (other - sigma) * (middle + spread * z)
            return np.tanh(place / scale) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

        pieces = np.linspace(-10, 10, 9)
        return sum(quad(value, a, b, epsabs=1e-13)[0] for a, b in itertools.pairwise(pieces))

    share = 1 / (1 + np.exp(-2 * m * y / total))
    place = scale * np.arctanh(share * mean(1.0) + (1 - share) * mean(-1.0))
    return float((place - y) / (other - sigma))


POINTWISE_OPTIMUM = Statement(
    id="perceptual-pointwise-optimum",
    title="The optimum of the self-perceptual loss for a score that can be anything",
    source=SOURCE,
    says="Given y, the loss is a function of one number, the predicted noise. Its least point, by "
    "quadrature over the posterior, is what training arrives at; with one pair of levels and a "
    "monotone feature it is f^{-1}(E[f(y') | y]), not E[ε | y].",
    latex=r"\hat n(y,\sigma) = \arg\min_n \sum_{\sigma'} P(\sigma') \big| f(y + (\sigma'-\sigma) n,"
    r"\sigma') - E[f(y',\sigma') \mid y]\big|^2",
    printed=Claim(
        "training",
        "a score of one number per bin, trained from 24 seeds, against quadrature in 18 bins",
        Study(lambda: _meets(lambda optimum: optimum.noise)),
        "=",
        to=1e-12,
    ),
    supporting=(
        Claim("one pair", "f^{-1}(E[f(y') | y]) by adaptive quadrature", Study(_one_pair), "="),
    ),
    broken=(
        Claim(
            "posterior mean",
            "training arrives at the minimizer of the mean square",
            Study(lambda: _meets(lambda optimum: optimum.mean_noise)),
            "=",
            to=1e-12,
        ),
    ),
    derivation="E|f(y'_hat) - f(y')|² given y is |f(y'_hat) - E[f(y') | y]|² plus a variance that "
    "does not depend on the prediction.",
    expected="holds",
)

_DESIGNS = tuple((m, s) for m in SEPARATIONS for s in WIDTHS)
_DENSITIES = ((1.0, 0.3), (1.0, 0.5), (2.0, 0.3), (2.0, 0.5))
_MIXED, _SHARES = ((1.0, 0.3), (2.0, 0.3)), (0.0, 0.1, 1.0, 10.0, 100.0)


_DIGITS = 3  # of masses, distances and KL: so many do not depend on the machine
_HALF = 0.5 * 10.0**-_DIGITS


def _sides(one: tuple[float, float], two: tuple[float, float]) -> tuple[float, float, float]:
    """Two numbers with their errors, as left side, right side and error, to three digits."""
    return round(one[0], _DIGITS), round(two[0], _DIGITS), one[1] + two[1] + 2 * _HALF


def _label(at: Comparison) -> str:
    return f"{at.sampler}, m = {at.m:g}, s = {at.s:g}" + (f", c = {at.c:g}" if at.c else "")


def _all() -> list[Comparison]:
    found = [compared(m, s, sampler) for m, s in _DESIGNS for sampler in FLOWS]
    return found + [compared(m, s, "ancestral") for m, s in _DENSITIES]


def _added() -> Observations:
    """Mass between the modes with the exact score and with the optimum."""
    rows = [(*_sides(at.exact.between, at.perceptual.between), _label(at)) for at in _all()]
    return observations(rows, len(rows))


def _farther() -> Observations:
    rows = [(*_sides((at.exact.w2, 0.0), (at.perceptual.w2, 0.0)), _label(at)) for at in _all()]
    return observations(rows, len(rows))


def _kl() -> Observations:
    found = [compared(m, s, "ancestral") for m, s in _DENSITIES]
    rows = [(*_sides(at.exact.kl, at.perceptual.kl), _label(at)) for at in found]
    return observations(rows, len(rows))


def _mixed() -> Observations:
    """More of the mean square adds less mass."""
    rows = []
    for m, s in _MIXED:
        for sampler in FLOWS:
            found = [compared(m, s, sampler, c) for c in _SHARES]
            for less, more in itertools.pairwise(found):
                both = more.perceptual.between, less.perceptual.between
                rows.append((*_sides(*both), _label(more)))
    return observations(rows, len(rows))


def _vanishing() -> Observations:
    rows = []
    for m, s in _MIXED:
        for sampler in FLOWS:
            none, much = (compared(m, s, sampler, c) for c in (_SHARES[0], _SHARES[-1]))
            added = [
                (at.perceptual.between[0] - at.exact.between[0], at.perceptual.between[1])
                for at in (much, none)
            ]
            left, right, error = _sides(*added)
            rows.append((abs(left), right, error, _label(much)))
    return observations(rows, len(rows))


def _clean() -> Observations:
    """One pair of levels, sigma' almost zero, against the score of N(0, s^2)."""
    rows = []
    for m, s in _DESIGNS:
        line = Line.of(two_modes(m, s).components())
        for sigma in (0.1, 0.3, 1.0, 5.0, 20.0):
            total = s * s + sigma**2
            y = total / m * np.linspace(-6, 6, 7)  # tanh(6) is 1 - 1.2e-5
            found = pointwise_optima(line, Perceptual(TwoLayerFeature(m, s * s), [1e-9]), y, sigma)
            for x, noise, error in zip(y, found.noise, found.error, strict=True):
                label = f"m = {m:g}, s = {s:g}, σ = {sigma:g}, y = {x:.3g}"
                # σ' itself moves what tanh sees by σ' m/s²
                rows.append((float(noise), sigma * x / total, 1e-7 + 10 * float(error), label))
    return observations(rows, len(rows))


UNLIMITED_CAPACITY = Statement(
    id="perceptual-unlimited-capacity",
    title="With unlimited capacity the self-perceptual loss puts mass between the modes",
    source=SOURCE,
    says="On N(-m, s²)/2 + N(m, s²)/2, with the hidden unit of the exact denoiser as the frozen "
    "feature, samplers with the score that is optimal at every point put more mass on |x| < m/2 "
    "than with the exact score, for all m, s and samplers tried. Added mean square takes it back.",
    latex=r"Q_{\hat n}(|x| < m/2) \ge Q_{L}(|x| < m/2), \qquad "
    r"\hat n = \arg\min_n G + c\,E[|\hat v - v|^2 \mid y] \to E[\varepsilon \mid y] "
    r"\text{ as } c \to \infty",
    printed=Claim(
        "mass between the modes",
        "that of the exact score is at most that of the optimum; 16 steps, 15 pairs (m, s), the "
        "flow by Euler and Heun, ancestral sampling on four of the pairs",
        Study(_added),
    ),
    supporting=(
        Claim(
            "clean levels",
            "for σ' to 0 the optimum is -y/(s² + σ²), the exact score of one mode halfway between "
            "the two, for every m",
            Study(_clean),
            "=",
        ),
        Claim("distance", "so is W2 to the data", Study(_farther)),
        Claim(
            "mixed loss",
            "more of the mean square, c = 0, 0.1, 1, 10, 100, adds less mass",
            Study(_mixed),
        ),
        Claim(
            "much mean square",
            "c = 100 leaves at most a twentieth of the added mass",
            Study(_vanishing),
            constant=0.05,
        ),
    ),
    broken=(
        Claim(
            "KL",
            "the marginal KL of ancestral sampling never falls: in 16 steps another error may be "
            "made smaller",
            Study(_kl),
        ),
    ),
    derivation="At σ' = 0 the hidden unit tanh(m x_0/s²) is P(+ | x_0) - P(- | x_0), whose mean "
    "given y is tanh(m y/(s² + σ²)): that value is taken at s² y/(s² + σ²), between the modes.",
    expected="holds",
)

STATEMENTS = (POINTWISE_OPTIMUM, UNLIMITED_CAPACITY)
