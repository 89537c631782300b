"""Moves: what one step of a sampler consists of.

A move takes the state from y to mean(y) + noise, where the mean asks the score once, twice or not
at all, and the noise is Gaussian. With p_v the law of the data at noise variance v, a perfect move
would take p_before to p_after. The arrays of a move have a leading axis over the steps of the
sampler; methods are for one step, reached by scanning or by `jax.tree.map(lambda a: a[j], move)`.
"""

import abc
from typing import ClassVar, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, is_concrete
from design_space.sampling.operators import AbstractOperators
from design_space.scores.base import AbstractScore


class Seen(NamedTuple):
    """An affine score at one noise level, in the eigenbasis of the data covariance.

    s(y) = alpha (y - m) + e with alpha = E - 1/P, P = l + v, from a `Deviation` E, e.

    Attributes:
      total: P, shape [dim].
      slope: E, an operator.
      intercept: e, shape [dim].
    """

    total: Array
    slope: Array
    intercept: Array

    def alpha(self, on: AbstractOperators) -> Array:
        """The slope of the score itself, an operator."""
        return self.slope - on.diagonal(1 / self.total)


class Linear(NamedTuple):
    """What a move does under affine scores: u = y - m goes to u + growth u + shift, plus noise.

    Attributes:
      growth: G, an operator.
      made: G P + P G^T + C + (before - after), symmetric, computed without cancellation where the
        move allows it; P = l + before and C the covariance of the noise. What the move adds to the
        excess of the covariance is this plus G P G^T.
      parts: the sum of the absolute parts of the diagonal of `made`, shape [dim].
      shift: shape [dim].
    """

    growth: Array
    made: Array
    parts: Array
    shift: Array


class AbstractMove(eqx.Module):
    """One move of every step; see the module.

    Attributes:
      evaluations: how often it asks the score.
      before: the noise variance v of which p_v is the law before the move, or nearly so.
      after: the same after it.
    """

    evaluations: ClassVar[int]
    before: eqx.AbstractVar[Float[Array, "*steps"]]
    after: eqx.AbstractVar[Float[Array, "*steps"]]

    @property
    @abc.abstractmethod
    def noisy(self) -> bool:
        """Whether it adds noise in any step."""

    @abc.abstractmethod
    def mean(self, score: AbstractScore, y: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """Where the move takes y before its noise, in one step.

        Args:
          score: the score model.
          y: the state, shape [dim], in data units.
        """

    @property
    @abc.abstractmethod
    def variance(self) -> Float[Array, "*steps"] | Float[Array, "*steps dim dim"]:
        """The variance of its noise in every direction, or its covariance."""

    @property
    @abc.abstractmethod
    def sigmas(self) -> tuple[Float[Array, "*steps"], ...]:
        """The noise levels at which it asks the score, one for each evaluation."""

    @abc.abstractmethod
    def linear(
        self, on: AbstractOperators, mean: Array, seen: tuple[Seen, ...], total: Array
    ) -> Linear:
        """What one step does under affine scores.

        Args:
          on: how operators are held.
          mean: m in the eigenbasis, shape [dim].
          seen: the score at each of `sigmas`.
          total: l + before, shape [dim].
        """


@final
class Blur(AbstractMove):
    """Noise alone: y + sqrt(c^2) U.

    Attributes:
      added: c^2.
      before, after: noise variances of the states.
    """

    evaluations: ClassVar[int] = 0
    added: Float[Array, "*steps"]
    before: Float[Array, "*steps"]
    after: Float[Array, "*steps"]

    def mean(self, score: AbstractScore, y: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """Returns y; see AbstractMove."""
        return y

    @property
    def noisy(self) -> bool:
        """See AbstractMove."""
        return True

    @property
    def variance(self) -> Float[Array, "*steps"]:
        """See AbstractMove."""
        return self.added

    @property
    def sigmas(self) -> tuple[Float[Array, "*steps"], ...]:
        """None; see AbstractMove."""
        return ()

    def linear(
        self, on: AbstractOperators, mean: Array, seen: tuple[Seen, ...], total: Array
    ) -> Linear:
        """See AbstractMove."""
        none, gain = jnp.zeros_like(total), self.added + (self.before - self.after)
        made = none + gain
        return Linear(on.diagonal(none), on.diagonal(made), jnp.abs(made), none)


@final
class OneStage(AbstractMove):
    """y + p y + b s(y, sigma) + noise, with b = h + q and noise of variance h + r, h = the drop.

    Kept as defects p, q, r from the sampler of the paper, which has none: what a move adds to the
    error of a law is small, and is computed from them without cancellation.

    Attributes:
      sigma: the noise level of the state before.
      drop: h, by which the noise variance falls.
      stretch: p.
      gain_defect: q, in squared data units.
      variance_defect: r, in squared data units; a matrix where noise is not alike in every
        direction.
      before, after: noise variances of the states; before - after = h.
      random: whether h + r is above 0 in any step.
    """

    evaluations: ClassVar[int] = 1
    sigma: Float[Array, "*steps"]
    drop: Float[Array, "*steps"]
    stretch: Float[Array, "*steps"]
    gain_defect: Float[Array, "*steps"]
    variance_defect: Float[Array, "*steps"] | Float[Array, "*steps dim dim"]
    before: Float[Array, "*steps"]
    after: Float[Array, "*steps"]
    random: bool = eqx.field(static=True)

    @property
    def noisy(self) -> bool:
        """See AbstractMove."""
        return self.random

    @property
    def gain(self) -> Float[Array, "*steps"]:
        """The coefficient b of the score, in squared data units."""
        return self.drop + self.gain_defect

    @property
    def isotropic(self) -> bool:
        """Whether the noise is alike in every direction."""
        return self.variance_defect.ndim == self.drop.ndim

    @property
    def variance(self) -> Float[Array, "*steps"] | Float[Array, "*steps dim dim"]:
        """The variance h + r; see AbstractMove."""
        if self.isotropic:
            return self.drop + self.variance_defect
        unit = jnp.eye(self.variance_defect.shape[-1])
        return jnp.einsum("...,ij->...ij", self.drop, unit) + self.variance_defect

    @property
    def sigmas(self) -> tuple[Float[Array, "*steps"], ...]:
        """The level of the state before; see AbstractMove."""
        return (self.sigma,)

    def mean(self, score: AbstractScore, y: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """The state y + p y + b s(y, sigma); see AbstractMove."""
        return y + (self.stretch * y + self.gain * score(y, self.sigma))

    def linear(
        self, on: AbstractOperators, mean: Array, seen: tuple[Seen, ...], total: Array
    ) -> Linear:
        """G = p + b (E - 1/P), made = 2 p P - 2 q + r + b (E P + P E^T); see AbstractMove."""
        (at,) = seen
        p, q, b = self.stretch, self.gain_defect, self.gain
        growth = on.diagonal(p - b / at.total) + b * at.slope
        pulled = on.symmetric(b * on.columns(at.slope, total))
        r = self.variance_defect
        noise = on.diagonal(r + jnp.zeros_like(total)) if self.isotropic else on.rotated(r)
        # the last term is for a score that is asked at another level than that of the state
        straight = 2 * p * total - 2 * q - 2 * b * (total - at.total) / at.total
        parts = 2 * jnp.abs(p * total) + 2 * jnp.abs(q)
        parts += jnp.abs(on.diagonal_of(noise)) + jnp.abs(on.diagonal_of(pulled))
        made = on.diagonal(straight + jnp.zeros_like(total)) + noise + pulled
        return Linear(growth, made, parts, p * mean + b * at.intercept)


@final
class TwoStage(AbstractMove):
    """y + p y + b s(y, sigma) + c s(y_1, sigma_1) at y_1 = y + p_1 y + b_1 s(y, sigma), no noise.

    Every explicit Runge-Kutta step of two stages on the probability flow has this form.

    Attributes:
      sigma: the noise level of the first evaluation.
      sigma_inner: sigma_1, of the second.
      inner_stretch: p_1.
      inner_gain: b_1, in squared data units.
      stretch: p.
      gain: b, in squared data units.
      second_gain: c, in squared data units.
      drop: by which the noise variance falls.
      before, after: noise variances of the states.
    """

    evaluations: ClassVar[int] = 2
    sigma: Float[Array, "*steps"]
    sigma_inner: Float[Array, "*steps"]
    inner_stretch: Float[Array, "*steps"]
    inner_gain: Float[Array, "*steps"]
    stretch: Float[Array, "*steps"]
    gain: Float[Array, "*steps"]
    second_gain: Float[Array, "*steps"]
    drop: Float[Array, "*steps"]
    before: Float[Array, "*steps"]
    after: Float[Array, "*steps"]

    @property
    def noisy(self) -> bool:
        """See AbstractMove."""
        return False

    @property
    def variance(self) -> Float[Array, "*steps"]:
        """Zero; see AbstractMove."""
        return jnp.zeros_like(self.drop)

    @property
    def sigmas(self) -> tuple[Float[Array, "*steps"], ...]:
        """Those of both evaluations; see AbstractMove."""
        return self.sigma, self.sigma_inner

    def mean(self, score: AbstractScore, y: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """See the class."""
        first = score(y, self.sigma)
        inner = y + (self.inner_stretch * y + self.inner_gain * first)
        second = score(inner, self.sigma_inner)
        return y + (self.stretch * y + self.gain * first + self.second_gain * second)

    def linear(
        self, on: AbstractOperators, mean: Array, seen: tuple[Seen, ...], total: Array
    ) -> Linear:
        """G = p + b a + c a_1 (1 + p_1 + b_1 a), a and a_1 the slopes; see AbstractMove."""
        here, there = seen
        one = jnp.ones_like(total)
        a, a_inner = here.alpha(on), there.alpha(on)
        inner = on.diagonal((1 + self.inner_stretch) * one) + self.inner_gain * a
        growth = on.diagonal(self.stretch * one) + self.gain * a
        growth += self.second_gain * on.product(a_inner, inner)
        moved = self.inner_stretch * mean + self.inner_gain * here.intercept
        shift = self.stretch * mean + self.gain * here.intercept
        shift += self.second_gain * (on.apply(a_inner, moved) + there.intercept)
        pulled = on.symmetric(on.columns(growth, total))
        parts = jnp.abs(on.diagonal_of(pulled)) + jnp.abs(self.drop)
        return Linear(growth, pulled + on.diagonal(self.drop * one), parts, shift)


def is_turned(moves: tuple[AbstractMove, ...]) -> bool:
    """Whether the noise of a move is not alike in every direction.

    Args:
      moves: moves of one stepper.
    """
    return any(isinstance(move, OneStage) and not move.isotropic for move in moves)


def check_dimension(moves: tuple[AbstractMove, ...], dim: int) -> None:
    """Checks that covariances of noise have the dimension of the data.

    Args:
      moves: moves of one stepper.
      dim: dimension of the data.

    Raises:
      ValueError: if one has another.
    """
    for move in moves:
        if isinstance(move, OneStage) and not move.isotropic:
            rows = move.variance_defect.shape[-1]
            checks.same_dimension("rows of the sampler's covariances", rows, "the data", dim)


def as_chain(moves: tuple[AbstractMove, ...]) -> OneStage | None:
    """The moves of every step one after the other, if each asks once and adds round noise.

    Args:
      moves: moves of one stepper.

    Returns:
      One move with an axis of steps * len(moves); None if a move is of another kind, or is known to
      add no noise in some step.
    """
    if not all(isinstance(m, OneStage) and m.isotropic and m.noisy for m in moves):
        return None
    variances = [m.variance for m in moves]
    if is_concrete(variances) and not all(np.all(np.asarray(v) > 0) for v in variances):
        return None
    return jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=1).ravel(), *moves)
