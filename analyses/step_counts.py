"""How many steps an accuracy takes on Gaussian data, found on many problems at once."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from analyses.statement import Observations
from design_space.arrays import Array, Float
from design_space.bounds import complexity
from design_space.errors.gaussian import discretization_terms, initialization_terms
from design_space.schedules.time import Exponential, Polynomial

MOST = 4096
"""Most steps that are computed."""

COUNT = 512
"""Problems in a batch: one shape, so that each kind of schedule compiles once."""

GROWTH = np.sqrt(2.0) ** np.arange(8)
"""Factors along an axis of `along_axes`."""

_DOUBLINGS = MOST.bit_length()


class Kind(NamedTuple):
    """A variance schedule and a time schedule.

    Attributes:
      exponent: e of sigma_bar_t = t^e: 1 or 1/2.
      polynomial: whether the times are polynomial, else exponential.
    """

    exponent: float
    polynomial: bool

    def horizon(self, second_moment: Array, accuracy: Array) -> Array:
        """T of appendix I.1."""
        linear = self.exponent == 1
        choose = complexity.linear_horizon if linear else complexity.sqrt_horizon
        return jax.vmap(choose)(second_moment, accuracy)


EDM, SONG = Kind(1.0, True), Kind(0.5, False)


class Problems(eqx.Module):
    """Data N(m, s^2 I) in d dimensions, an accuracy asked for, and the schedule's numbers.

    Attributes:
      dim: d.
      mean_squared: |m|^2.
      variance: s^2; 0 is a point mass.
      accuracy: eps, in nats.
      low: delta, in the schedule's own time.
      rho: exponent of polynomial times.
    """

    dim: Float[Array, " problems"]
    mean_squared: Float[Array, " problems"]
    variance: Float[Array, " problems"]
    accuracy: Float[Array, " problems"]
    low: Float[Array, " problems"]
    rho: Float[Array, " problems"]

    @property
    def second_moment(self) -> Float[Array, " problems"]:
        """m2^2 = |m|^2 + d s^2."""
        return self.mean_squared + self.dim * self.variance

    def labels(self) -> tuple[str, ...]:
        """What each problem is."""
        columns = zip(
            *(
                np.asarray(x).tolist()
                for x in (self.dim, self.second_moment, self.variance, self.accuracy, self.rho)
            ),
            strict=True,
        )
        return tuple(
            f"d = {d:.0f}, m2² = {m:.3g}, s² = {s:.3g}, eps = {e:.3g}, a = {a:.3g}"
            for d, m, s, e, a in columns
        )


def _discretization(
    kind: Kind, variance: Array, low: Array, high: Array, rho: Array, steps: Array
) -> Array:
    """E_D per dimension with so many of the MOST steps; the rest stand still at the start."""
    fractions = jnp.minimum(jnp.arange(MOST + 1) / steps, 1.0)
    rule = Polynomial(rho) if kind.polynomial else Exponential()
    sigmas = rule.interpolate(fractions, low, high)[::-1] ** kind.exponent
    h = (sigmas[:-1] - sigmas[1:]) * (sigmas[:-1] + sigmas[1:])
    return jnp.sum(discretization_terms(variance[None], sigmas**2, h))


@eqx.filter_jit
def errors(kind: Kind, problems: Problems, high: Array, steps: Array) -> tuple[Array, Array]:
    """E_I and E_D with the exact score.

    Args:
      kind: of the schedule.
      problems: COUNT of them.
      high: T of each, shape [problems].
      steps: N of each, at most MOST, shape [problems].
    """

    def one(p: Problems, high: Array, steps: Array) -> tuple[Array, Array]:
        largest = high ** (2 * kind.exponent)
        start = initialization_terms(jnp.zeros(1), p.variance[None], largest)[0]
        found = _discretization(kind, p.variance, p.low, high, p.rho, steps)
        return p.dim * start + p.mean_squared / (2 * largest), p.dim * found

    return jax.vmap(one)(problems, high, steps)


@eqx.filter_jit
def least_steps(kind: Kind, problems: Problems, high: Array, accuracy: Array) -> Array:
    """The least N with E_D at most the accuracy, by bisection; MOST + 1 if there is none.

    Args:
      kind: of the schedule.
      problems: COUNT of them.
      high: T of each, shape [problems].
      accuracy: asked of E_D, shape [problems].
    """

    def one(p: Problems, high: Array, accuracy: Array) -> Array:
        def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            middle = (ends[0] + ends[1]) // 2
            found = p.dim * _discretization(kind, p.variance, p.low, high, p.rho, middle)
            enough = found <= accuracy
            return jnp.where(enough, ends[0], middle), jnp.where(enough, middle, ends[1])

        start = (jnp.asarray(0), jnp.asarray(MOST + 1))
        return jax.lax.fori_loop(0, _DOUBLINGS, halve, start)[1]

    return jax.vmap(one)(problems, high, accuracy)


def drawn(kind: Kind, *, point_mass: bool, largest: float, seed: int = 0) -> Problems:
    """Random problems for which the printed number of steps is between 300 and 4000.

    Polynomial exponents are between 1 and 6, with T/delta at least e^(2 a); for exponential times
    T/delta is at least e^2. The accuracy is at most m2^2 + d.

    Args:
      kind: of the schedule.
      point_mass: whether all data are point masses, else half of them.
      largest: m2^2/d is at most this, and at least a hundred-thousandth of it.
      seed: of the generator.
    """
    random = np.random.default_rng(seed)
    steps = 300 * (4000 / 300) ** random.random(COUNT)
    rho = 6 ** random.random(COUNT)
    most = rho * np.log(steps / rho**2) if kind.polynomial else np.full(COUNT, 10.0)
    least = 2 * rho if kind.polynomial else np.full(COUNT, 2.0)
    length = least + (most - least) * random.random(COUNT)
    order = rho**2 * np.exp(length / rho) if kind.polynomial else length**2
    dim = random.integers(1, 51, COUNT).astype(float)
    moment = dim * largest * 1e-5 ** random.random(COUNT)
    share = random.random(COUNT) * (random.random(COUNT) < (0.0 if point_mass else 0.5))
    accuracy = (moment + dim) * order / (steps - 1e-3)
    high = np.asarray(kind.horizon(jnp.asarray(moment), jnp.asarray(accuracy)))
    low = high * np.exp(-length)
    numbers = (dim, (1 - share) * moment, share * moment / dim, accuracy, low, rho)
    return Problems(*(jnp.asarray(x) for x in numbers))


def along_axes(kind: Kind) -> tuple[Problems, tuple[str, ...]]:
    """Point masses in 4 dimensions on which one number grows by factors of sqrt 2, eight at a time.

    Polynomial exponents a go from 1 to 3, with T/delta = e^(2 a) and some 64 a steps to begin with;
    for exponential times ln(T/delta) goes from 4 to 12, with some 128 steps.

    Returns:
      The problems, and for each run of eight what grows.
    """
    axes = ("1/eps", "1/delta", "d", "m2")
    rows, names = [], []
    for share in np.linspace(0, 1, COUNT // 32):
        rho, length = 3**share, 4 + 8 * share
        order, steps = length**2, 128.0
        if kind.polynomial:
            length, steps = 2 * rho, 64 * rho
            order = (2 * rho * np.sinh(1.0)) ** 2
        accuracy = 8 * kind.exponent**2 * order / steps
        low = float(kind.horizon(jnp.ones(1), jnp.full(1, accuracy))[0]) * np.exp(-length)
        names += [f"{x}, a = {rho:.3g}, ln(T/delta) = {length:.3g}" for x in axes]
        rows += [
            (
                4.0 * (growth if axis == "d" else 1),
                1.0 * (growth**2 if axis == "m2" else 1),
                0.0,
                accuracy / (growth if axis == "1/eps" else 1),
                low / (growth if axis == "1/delta" else 1),
                rho,
            )
            for axis in axes
            for growth in GROWTH
        ]
    return Problems(*(jnp.asarray(x) for x in np.asarray(rows).T)), tuple(names)


def printed_steps(kind: Kind, problems: Problems) -> np.ndarray:
    """N of appendix I.1 with the constant 1, not rounded.

    Args:
      kind: of the schedule.
      problems: any number of them.
    """
    moment, accuracy = problems.second_moment, problems.accuracy
    ratio = kind.horizon(moment, accuracy) / problems.low
    given = (problems.dim, moment, ratio, accuracy)
    if kind.polynomial:
        return np.asarray(jax.vmap(complexity.polynomial_steps)(*given, problems.rho))
    return np.asarray(jax.vmap(complexity.exponential_steps)(*given))


@eqx.filter_jit
def _both(spreads: Array, steps: Array) -> tuple[Array, Array]:
    """E_D of Song and of EDM over EDM's range on N(0, s^2)."""
    blank, low = jnp.ones(COUNT), jnp.full(COUNT, 0.002)
    problems = Problems(blank, 0 * blank, spreads**2, blank, low, 7 * blank)
    squared = eqx.tree_at(lambda p: p.low, problems, low**2)
    song = errors(SONG, squared, jnp.full(COUNT, 6400.0), steps)[1]
    return song, errors(EDM, problems, jnp.full(COUNT, 80.0), steps)[1]


def song_and_edm(spreads: np.ndarray) -> Observations:
    """E_D of Song against that of EDM over EDM's range on N(0, s^2), from one to MOST steps.

    Args:
      spreads: s, COUNT of them.
    """
    steps = np.round(float(MOST) ** np.linspace(0, 1, COUNT))
    song, edms = (np.asarray(x) for x in _both(jnp.asarray(spreads), jnp.asarray(steps)))
    names = tuple(f"s = {s:.3g}, N = {n:.0f}" for s, n in zip(spreads, steps, strict=True))
    return Observations(song, edms, 1e-10 * edms, names, 2 * COUNT)
