"""Random-feature models that interpolate few data, and their losses on the data and on the law.

One dimension, two modes, a model S(x, sigma) = a'relu(B [x, sigma]) that is linear in a: its least
losses are least squares.
"""

from typing import NamedTuple

import numpy as np

from analyses.columns import normals

_NODES = 601  # over +-8.5 standard deviations on both sides of each mode
_REACH = 8.5
_RANK = (
    1e-6  # smaller singular values, relative to the largest, count as 0: nothing hangs on rounding
)
_NONE = 1e-6  # smaller losses, relative to the loss of S = 0, count as 0


class Designs(NamedTuple):
    """Random designs, each with its modes, levels, weighting and features first.

    Attributes:
      shares: weights of the two modes, [designs, 2].
      means, variances: of the modes, [designs, 2].
      sigmas: noise levels, ascending, [designs, levels].
      beta: total weighting, [designs, levels].
      inner: B, [designs, width, 2].
    """

    shares: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    sigmas: np.ndarray
    beta: np.ndarray
    inner: np.ndarray

    def features(self, x: np.ndarray) -> np.ndarray:
        """relu(B [x, sigma_j]) at x [designs, levels, points]; [designs, levels, points, width]."""
        along, level = (self.inner[:, None, None, :, i] for i in range(2))
        return np.maximum(along * x[..., None] + level * self.sigmas[:, :, None, None], 0.0)


def designs(random: np.random.Generator, count: int, levels: int, width: int) -> Designs:
    """Draws designs.

    Args:
      random: the generator.
      count: how many.
      levels: N.
      width: m.
    """
    share = 0.2 + 0.6 * random.random(count)
    gaps = 0.3 + 0.5 * random.random((count, levels))
    sigmas = 0.05 * 10 ** random.random((count, 1)) * np.exp(np.cumsum(gaps, axis=1))
    return Designs(
        np.stack([share, 1 - share], axis=1),
        (0.5 + random.random((count, 1))) * np.array([[-1.0, 1.0]]),
        (0.1 + 0.4 * random.random((count, 2))) ** 2,
        sigmas,
        10 ** (random.random((count, levels)) - 0.5),
        (2 / width) ** 0.5 * normals(random, count, width, 2),
    )


class Law(NamedTuple):
    """The law of X at every level on a uniform grid, [designs, levels, nodes].

    Attributes:
      x: nodes.
      mass: density times width of the cells; twice as coarse on the even nodes.
      score: grad log p_v(x).
      spread: Var(X_0 | X = x).
    """

    x: np.ndarray
    mass: np.ndarray
    score: np.ndarray
    spread: np.ndarray


def law(given: Designs) -> Law:
    """The law of X = X_0 + sigma_j xi; trapezoid sums of smooth functions converge to rounding.

    Args:
      given: designs.
    """
    v = given.sigmas[:, :, None, None] ** 2
    means, own = given.means[:, None, None, :], given.variances[:, None, None, :]
    total = own + v
    reach = _REACH * np.sqrt(np.max(total, axis=-1)) + np.max(np.abs(means), axis=-1)
    x = np.linspace(-1.0, 1.0, _NODES)[None, None, :] * reach
    off = x[..., None] - means
    parts = given.shares[:, None, None, :] * np.exp(-0.5 * off**2 / total)
    parts = parts / np.sqrt(2 * np.pi * total)
    density = np.sum(parts, axis=-1)
    share = parts / np.maximum(density, 1e-300)[..., None]
    score = -np.sum(share * off / total, axis=-1)
    guess = means + own / total * off
    middle = np.sum(share * guess, axis=-1)
    spread = np.sum(share * (own * v / total + (guess - middle[..., None]) ** 2), axis=-1)
    step = 2 * reach / (_NODES - 1)
    return Law(x, density * step, score, spread)


def mmse(over: Law) -> np.ndarray:
    """E Var(X_0 | X) at every level, [designs, levels]."""
    return np.sum(over.mass * over.spread, axis=-1)


def population_losses(
    given: Designs, over: Law, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(1/2) sum_j beta_j E|sigma_j S + xi|^2, with E(xi | X) = -sigma_j grad log p.

    Args:
      given: designs.
      over: their laws.
      scores: S at the nodes, [designs, levels, nodes].

    Returns:
      the losses and their errors: what half of the nodes give differs by that much; [designs].
    """
    v = given.sigmas[:, :, None] ** 2
    each = over.mass * (v * scores**2 - 2 * v * scores * over.score + 1)

    def total(terms: np.ndarray) -> np.ndarray:
        return 0.5 * np.sum(given.beta * np.sum(terms, axis=-1), axis=-1)

    fine = total(each)
    return fine, np.abs(fine - 2 * total(each[..., ::2])) + 1e-12 * np.abs(fine)


def drawn(
    given: Designs, random: np.random.Generator, points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Data X_ij and noise xi_ij, each [designs, levels, points]."""
    count, levels = given.sigmas.shape
    second = random.random((count, points)) > given.shares[:, :1]
    mean, own = (np.where(second, x[:, 1:], x[:, :1]) for x in (given.means, given.variances))
    clean = mean + np.sqrt(own) * normals(random, count, points)
    noise = normals(random, count, levels, points)
    return clean[:, None, :] + given.sigmas[:, :, None] * noise, noise


def least_empirical(
    given: Designs, noisy: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The least (1/(2n)) sum_ij f_ij over a, and the a of least norm that has it.

    Combinations of features that are next to nothing on the data are left out.

    Args:
      given: designs.
      noisy: X_ij, [designs, levels, points].
      noise: xi_ij.

    Returns:
      losses, [designs], and coefficients, [designs, width].
    """
    count, levels, points = noisy.shape
    scale = np.sqrt(given.beta)[:, :, None] + np.zeros(noisy.shape)
    rows = (scale * given.sigmas[:, :, None])[..., None] * given.features(noisy)
    rows = rows.reshape(count, levels * points, -1)
    right = -(scale * noise).reshape(count, levels * points)
    found = np.stack([np.linalg.lstsq(a, b, _RANK)[0] for a, b in zip(rows, right, strict=True)])
    left = np.einsum("drw,dw->dr", rows, found) - right
    losses, zero = (0.5 * np.sum(r**2, axis=1) / points for r in (left, right))
    return np.where(losses < _NONE * zero, 0.0, losses), found


def least_population(given: Designs, over: Law) -> np.ndarray:
    """Coefficients of the least population loss over a, on the nodes, [designs, width]."""
    count, levels, nodes = over.x.shape
    scale = np.sqrt(given.beta[:, :, None] * over.mass) * given.sigmas[:, :, None]
    found = []
    for i in range(count):
        one = Designs(*(x[i : i + 1] for x in given))
        rows = (scale[i][..., None] * one.features(over.x[i : i + 1])[0]).reshape(
            levels * nodes, -1
        )
        gram = rows.T @ rows
        right = rows.T @ (scale[i] * over.score[i]).ravel()
        ridge = 1e-12 * np.trace(gram) * np.eye(len(gram))
        found.append(np.linalg.solve(gram + ridge, right))
    return np.stack(found)


def scores(given: Designs, over: Law, coefficients: np.ndarray) -> np.ndarray:
    """S at the nodes, [designs, levels, nodes].

    Args:
      given: designs.
      over: their laws.
      coefficients: a, [designs, width].
    """
    return np.stack(
        [
            Designs(*(x[i : i + 1] for x in given)).features(over.x[i : i + 1])[0] @ coefficients[i]
            for i in range(len(coefficients))
        ]
    )
