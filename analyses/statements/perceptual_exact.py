"""What is exact of the self-perceptual loss: where it is zero, and where it is a mean square."""

import functools
import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from analyses.perceptual_identities import (
    SIGMAS,
    OwnTime,
    Quadratic,
    at_own_time,
    rounding,
    turned,
    with_linear_features,
)
from analyses.statement import Claim, Observations, Statement, Study

SOURCE = "LY (arXiv 2401.00110), Algorithm 1; design_space, docs/theory/self_perceptual.md"
_DRAWS = 256  # networks for each dimension
_FEATURES = 84  # draws of linear features of each kind and dimension


def observations(rows: Sequence[tuple[float, float, float, str]], designs: int) -> Observations:
    """Observations of a study.

    Args:
      rows: left side, right side, error and label of each.
      designs: how many stand behind them.
    """
    left, right, error, labels = zip(*rows, strict=True)
    return Observations(np.array(left), np.array(right), np.array(error), labels, designs)


def _own_time(of: Callable[[OwnTime], jax.Array]) -> Observations:
    rows = []
    for dim in (1, 3):
        found = at_own_time(jax.random.split(jax.random.key(dim), _DRAWS), dim)
        for draw in range(_DRAWS):
            for k, what in enumerate(("loss", "gradient")):
                # a compiled product may differ from its like in the last digits, squared in a loss
                error = 1e-20 * float(found.independent[draw, k])
                label = f"{what}, dimension {dim}, draw {draw}"
                rows.append((float(of(found)[draw, k]), 0.0, error, label))
    return observations(rows, 2 * _DRAWS)


EQUAL_TIMES = Statement(
    id="perceptual-equal-times",
    title="At its own time the self-perceptual loss is zero",
    source=SOURCE,
    says="If t' is the time t of the prediction, the loss and its gradient are zero for every "
    "model and every frozen network, since x̂_t' is x_t again.",
    latex=r"t' = t:\quad \hat x_{t'} = x_{t'}, \quad L = 0, \quad \nabla L = 0",
    printed=Claim(
        "zero",
        "loss and gradient of random networks judged by others are zero",
        Study(lambda: _own_time(lambda found: found.equal)),
        "=",
    ),
    broken=(
        Claim(
            "one prediction",
            "the same where only the data are predicted, and the true noise is added again",
            Study(lambda: _own_time(lambda found: found.data_only)),
            "=",
        ),
    ),
    derivation="y'_hat - y' = (σ - σ') r, which vanishes at σ' = σ.",
    expected="holds",
)


def _rotation(sign: float = 1.0) -> Observations:
    keys = {dim: jax.random.split(jax.random.key(20 * dim), _DRAWS) for dim in (1, 3)}
    parts = [(dim, turned(own, dim)) for dim, own in keys.items()]
    left, right, error = (
        np.concatenate([np.asarray(of(part)) for _, part in parts])
        for of in (lambda t: t.left, lambda t: sign * t.right, rounding)
    )
    labels = tuple(f"dimension {d}, entry {k}" for d, part in parts for k in range(len(part.left)))
    return Observations(left, right, error, labels, 2 * _DRAWS)


ROTATION = Statement(
    id="perceptual-rotation",
    title="Prediction and truth at another time are a rotation apart",
    source=SOURCE,
    says="With α = cos φ and σ = sin φ, x̂_t' - x_t' = sin(φ' - φ) (v̂ - v) for every prediction.",
    latex=r"\hat x_{t'} - x_{t'} = \sin(\varphi' - \varphi)\,(\hat v - v)",
    printed=Claim(
        "rotation",
        "both sides for random networks, points, noise and pairs of levels",
        Study(_rotation),
        "=",
    ),
    broken=(Claim("the other way", "sin(φ - φ')", Study(lambda: _rotation(-1.0)), "="),),
    derivation="(x_0, ε) are the rotation of (x_t, v) by φ. x̂_0 - x_0 = -sin φ (v̂ - v) and "
    "ε̂ - ε = cos φ (v̂ - v), so that cos φ' of the one and sin φ' of the other add up to "
    "sin(φ' - φ).",
    expected="holds",
)

_DIMS = (2, 3)


@functools.lru_cache(maxsize=1024)
def _linear(dim: int, kind: str, draw: int) -> Quadratic:
    """Random features: of full rank, blind to one direction, or one of them at each level."""
    full = jax.random.normal(jax.random.key(1000 * dim + draw), (len(SIGMAS), dim, dim))
    chosen = {
        "full": full,
        "blind": full - full @ (jnp.ones((dim, dim)) / dim),
        "one each": full[:, :1],
    }
    return with_linear_features(jax.random.key(5000 + draw), chosen[kind])


def _entries(kinds: Sequence[str], left: Callable, right: Callable) -> Observations:
    rows, cases = [], list(itertools.product(kinds, _DIMS, range(_FEATURES)))
    for kind, dim, draw in cases:
        found = _linear(dim, kind, draw)
        one, two = (np.ravel(np.asarray(of(found))) for of in (left, right))
        # relative to the least eigenvalue that is not zero
        size = 1e-12 * float(np.max(np.abs(two)) / found.least)
        label = f"{kind}, dimension {dim}, draw {draw}"
        rows += [(a, b, size, label) for a, b in zip(one, two, strict=True)]
    return observations(rows, len(cases))


LINEAR_FEATURES = Statement(
    id="perceptual-linear-features",
    title="Linear features: the minimizer of the mean square, if they see every direction",
    source=SOURCE,
    says="With f = W x the loss is sin²(D) |W (v̂ - v)|², D = φ' - φ. The posterior mean of v "
    "minimizes it, and alone does so if and only if E[sin²(D) W'W] has full rank.",
    latex=r"L = \sin^2(D)\,|W(\hat v - v)|^2, \qquad \nabla L = 0 \iff "
    r"E[\sin^2(D)\, W^\top W]\,(\hat v - E v) = 0",
    printed=Claim(
        "formula",
        "the loss that training uses against sin²(D) |W (v̂ - v)|², the mean over features",
        Study(
            lambda: _entries(("full", "blind", "one each"), lambda q: q.terms, lambda q: q.formula)
        ),
        "=",
    ),
    supporting=(
        Claim(
            "full rank",
            "the minimizer is the mean v; also where each W has rank 1 and only all together see "
            "every direction",
            Study(lambda: _entries(("full", "one each"), lambda q: q.found, lambda q: q.mean)),
            "=",
        ),
        Claim(
            "not of full rank",
            "the mean v plus a direction that no W sees has the same loss",
            Study(
                lambda: _entries(("blind",), lambda q: q.losses[1], lambda q: q.losses[0]),
            ),
            "=",
        ),
        Claim(
            "not a minimizer of the mean square",
            "there the mean square is larger by the square of what was added",
            Study(
                lambda: _entries(("blind",), lambda q: q.squares[0] + 1, lambda q: q.squares[1]),
            ),
            "=",
        ),
    ),
    broken=(
        Claim(
            "any rank",
            "the minimizer nearest to where one starts is the mean v for features of any rank",
            Study(lambda: _entries(("blind",), lambda q: q.found, lambda q: q.mean)),
            "=",
        ),
    ),
    derivation="The rotation identity. Given x_t, v̂ is a constant and t' independent of v, so the "
    "loss is a quadratic form in v̂ - E v plus a constant.",
    expected="holds",
)


STATEMENTS = (EQUAL_TIMES, ROTATION, LINEAR_FEATURES)
