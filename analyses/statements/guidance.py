"""What a guided sampler does not sample, and an identity for what it does."""

import functools

import numpy as np

from analyses.guided_laws import (
    APART,
    FAR,
    MODES,
    OVERLAP,
    PROBLEMS,
    STEPS,
    WIDE,
    Problem,
    carried,
    limit,
    limits,
)
from analyses.statement import Claim, Observations, Statement, Study

# Written down before the first run: the mixtures, the strengths, and the divergence that counts.
STRENGTHS = (0.5, 2.0, 4.0)
LEAST_KL = 1e-3  # nats
_SURE = 5.0  # errors that a divergence must be away from zero
_ROUNDING = 1e-9  # of sums over a density that is carried over hundreds of steps

LONGER = (30, 60, 120, 240)
"""Numbers of steps from which both sides of the identity are extrapolated."""

FINEST = (50, 100, 200, 400)
"""Where a divergence is below 1e-3 nats."""


def observed(rows: list[tuple[float, float, float, str]], designs: int) -> Observations:
    """Observations from rows of left side, right side, error and label.

    Args:
      rows: the observations.
      designs: how many designs stand behind them.
    """
    left, right, error = (np.array([row[i] for row in rows]) for i in range(3))
    return Observations(left, right, error, tuple(row[3] for row in rows), designs)


_TILTED = (OVERLAP, APART, MODES, WIDE)


def _divergences(strengths: tuple[float, ...], sampler: str) -> list[tuple[float, float, str]]:
    """KL(guided | tilted) in the limit, its error and what it is of."""
    found = []
    for of in _TILTED:
        for w in strengths:
            # the least divergence asks for the least error
            steps = FINEST if of is WIDE and w < 1 else STEPS
            kl, error = limits(of.name, w, sampler, steps)["kl_tilted"]
            found.append((kl, error, f"{of.name}, w = {w:g}, {sampler}"))
    return found


def _away(sampler: str, least: float) -> Observations:
    """So many errors, or else the least divergence that counts, against KL(guided | tilted)."""
    found = _divergences(STRENGTHS, sampler)
    rows = [
        (_SURE * error, kl, 0.0, name) if least == 0 else (least, kl, error, name)
        for kl, error, name in found
    ]
    return observed(rows, len(rows) * len(STEPS))


def _equal(strengths: tuple[float, ...]) -> Observations:
    """KL(guided | tilted) against zero."""
    rows = [(kl, 0.0, e + _ROUNDING, name) for kl, e, name in _divergences(strengths, "noise")]
    return observed(rows, len(rows) * len(STEPS))


def _noise_matters() -> Observations:
    """A hundredth of a standard deviation against the distance of the two means."""
    rows = []
    for of in (OVERLAP, APART, MODES):
        for w in (2.0, 4.0):
            sde, ode = limits(of.name, w), limits(of.name, w, "flow")
            apart, error = abs(sde["mean"][0] - ode["mean"][0]), sde["mean"][1] + ode["mean"][1]
            rows.append((0.01 * sde["variance"][0] ** 0.5, apart, error, f"{of.name}, w = {w:g}"))
    return observed(rows, 2 * len(rows) * len(STEPS))


NOT_TILTED = Statement(
    id="guidance-not-tilted",
    title="A guided sampler does not sample the tilted law",
    source="arXiv 2408.09000; design_space, docs/theory/guidance.md",
    says="However short its steps, classifier-free guidance with exact scores does not sample "
    "p(x|c) p(c|x)^{w-1}/Z unless w is 0 or 1: the tilted law at noise v is not the tilted data "
    "law with noise added, so that no reverse process belongs to the guided score. With and "
    "without noise the limits are two different laws.",
    latex=r"q_w \neq \frac{1}{Z}\, p(x \mid c)\, p(c \mid x)^{w - 1}",
    printed=Claim(
        "away",
        f"KL(guided | tilted) is more than {_SURE:g} times its error at w = 0.5, 2, 4, reverse SDE",
        Study(lambda: _away("noise", 0.0)),
    ),
    supporting=(
        Claim("flow", "the same for the probability flow", Study(lambda: _away("flow", 0.0))),
        Claim("w = 1", "no divergence at w = 1", Study(lambda: _equal((1.0,))), "="),
        Claim(
            "two limits",
            "the means of both samplers differ by more than 0.01 standard deviations",
            Study(_noise_matters),
        ),
    ),
    broken=(
        Claim("tilted", "it samples the tilted law", Study(lambda: _equal(STRENGTHS)), "="),
        Claim(
            "always by much",
            f"the divergence is at least {LEAST_KL:g} nats on each of these mixtures",
            Study(lambda: _away("noise", LEAST_KL)),
        ),
    ),
    derivation="The guided score is the gradient of log p_v(x|c) p_v(c|x)^{w-1}. At v = 0 that is "
    "the tilted law; at v > 0 it is not the tilted law with noise, since convolution and powers do "
    "not commute.",
    expected="holds",
)

IDENTITY_ON = (OVERLAP, APART, FAR, MODES)
EXTRA = (0.5, 2.0)


@functools.cache
def _watched(name: str, extra: float) -> tuple[np.ndarray, np.ndarray]:
    """E[1/p] at the end, and the integral of E[slope^2/p] over v, for each number of steps."""
    paths = [carried(PROBLEMS[name], 1 + extra, n, watched=True) for n in LONGER]
    ends = np.array([path.inverse[-1] for path in paths])
    return ends, np.array([-np.trapezoid(path.climbed, path.variances) for path in paths])


def _identity(
    problems: tuple[Problem, ...], extras: tuple[float, ...], short: bool = True
) -> Observations:
    """E[1/p(c | X_0)] against 1/p(c) - w int E[|grad log p|^2/p] dv."""
    rows = []
    for of in problems:
        for w in extras:
            ends, integrals = _watched(of.name, w)
            (left, e), (total, f) = limit(ends), limit(integrals)
            if not short:
                left, total, e, f = ends[-1], integrals[-1], 0.0, 0.0
            error, label = float(e + w * f) + _ROUNDING / of.prior, f"{of.name}, w = {w:g}"
            rows.append((float(left), 1 / of.prior - w * float(total), error, label))
    return observed(rows, len(rows) * len(LONGER))


def _all_of_it() -> Observations:
    """What guidance may climb in all, w int E[|grad log p|^2/p] dv, against 1/p(c) - 1."""
    rows = []
    for of in IDENTITY_ON:
        for w in EXTRA:
            total, error = limit(_watched(of.name, w)[1])
            label = f"{of.name}, w = {w:g}"
            rows.append((w * float(total), 1 / of.prior - 1, w * float(error) + _ROUNDING, label))
    return observed(rows, len(rows) * len(LONGER))


_TO = 1e-9  # no slack beyond the stated error

IDENTITY = Statement(
    id="guidance-identity",
    title="What guidance takes from E[1/p(c|X₀)]",
    source="after arXiv 2505.01382; design_space, docs/theory/guidance.md",
    says="The reverse SDE of the class with the extra drift w g² ∇log p_t(c|x), started from "
    "p_T(.|c), has E[1/p(c|X₀)] = 1/p(c) - w ∫ g² E[|∇log p_t(c|Y)|²/p_t(c|Y)] dt in continuous "
    "time, whatever the mixture. The integral is at most (1/p(c) - 1)/w.",
    latex=r"E\frac{1}{p(c \mid X_0)} = \frac{1}{p(c)} - w \int g^2\, "
    r"E\frac{|\nabla \log p_t(c \mid Y_t)|^2}{p_t(c \mid Y_t)}\, dt",
    printed=Claim(
        "identity",
        "both sides, extrapolated to short steps, up to their stated error",
        Study(lambda: _identity(IDENTITY_ON, EXTRA)),
        "=",
        to=_TO,
    ),
    supporting=(
        Claim(
            "martingale",
            "E[1/p] stays 1/p(c) without guidance, for one Gaussian class",
            Study(lambda: _identity((OVERLAP, APART, FAR), (0.0,))),
            "=",
            to=_TO,
        ),
        Claim("bound", "w times the integral is at most 1/p(c) - 1", Study(_all_of_it)),
    ),
    broken=(
        Claim(
            "long steps",
            f"the same at {LONGER[-1]} steps, not extrapolated",
            Study(lambda: _identity(IDENTITY_ON, EXTRA, short=False)),
            "=",
            to=_TO,
        ),
    ),
    derivation="1/p_v(c|x) = p_v(x)/(p(c) p_v(x|c)) is a martingale along the reverse SDE of the "
    "class, with the mean 1/p(c). Extra drift w g² ∇log p adds w g² ∇(1/p)·∇log p = "
    "-w g² |∇log p|²/p to its rate.",
    expected="holds",
)

STATEMENTS = (NOT_TILTED, IDENTITY)
