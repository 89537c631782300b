"""The score term of Theorem 3, taken apart: optimization, statistics, estimation, approximation.

Notation: Lem the empirical loss, L the population loss with its floor taken off (L + C_bar in the
paper), both seen as functions of the trained weights; theta_K what gradient descent has reached,
theta_* the minimizer of L among the minimizers of Lem, theta_F the minimizer of L. Then

  L(K) = [Lem(K) - Lem(*)] + [L(K) - Lem(K) + Lem(*) - L(*)] + [L(*) - L(F)] + L(F),

and the four terms are these differences, the second as an absolute value. The paper asks
Lem(*) = 0, that is interpolation; where a model cannot interpolate there is no such theta_*, and
here the minimizers of Lem take the place of its zeros. For a model that is affine in its weights
both losses are squares, (1/2)|A M + B|^2 and (1/2)|G (M - M_F)|^2 + L(F), all four terms are had
from two singular value decompositions, and no term is a difference of large losses.
"""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import EPS, Array, ArrayLike, Float, Real, Scalar, float64
from design_space.checks import refusal
from design_space.numerics.contraction import power
from design_space.numerics.estimate import Estimate
from design_space.numerics.linear_algebra import svd
from design_space.scores.model import Weights
from design_space.training.population import PopulationSolvable
from design_space.training.solvable import Solvable


@final
class LossTerms(eqx.Module):
    """The terms of Theorem 3's score error, in units of the loss, each with its error.

    Attributes:
      train: eps_train = Lem(K) - Lem(*), what gradient descent has left.
      generalization: eps_n = |L(K) - Lem(K) + Lem(*) - L(*)|.
      estimation: eps_est = L(*) - L(F).
      approximation: eps_approx = L(F) + C_bar, the excess of the best of the class.
      excess: L(K) + C_bar, the excess of what was trained; at most the sum of the four.
    """

    train: Estimate
    generalization: Estimate
    estimation: Estimate
    approximation: Estimate
    excess: Estimate

    @property
    def total(self) -> Estimate:
        """eps_train + eps_n + eps_est + eps_approx."""
        return self.train + self.generalization + self.estimation + self.approximation


@final
class LossDecomposition(eqx.Module):
    """What every step of one training shares: theta_* and theta_F, and the way to them.

    A step changes the modes of the empirical problem only, so that `at` is a small product.

    Attributes:
      solution: gradient descent on the empirical loss.
      mixing: G V, shape [blocks, population rank, rank]: modes of training seen by L.
      limit: G (M_limit - M_F), where M_limit is the limit of training, shape [blocks, population
        rank, columns].
      star: G (M_* - M_F), same shape: `limit` without its part along the weights that no
        empirical residual sees.
      approximation: L(F) + C_bar.
      size: what G M is the sum of, for the rounding, in units of G M.
    """

    solution: Solvable
    mixing: Float[Array, "blocks population rank"]
    limit: Float[Array, "blocks population columns"]
    star: Float[Array, "blocks population columns"]
    approximation: Estimate
    size: Float[Array, ""]

    @property
    def estimation(self) -> Estimate:
        """eps_est = L(*) - L(F), a square."""
        value = 0.5 * jnp.sum(self.star**2)
        return Estimate(value, _rounding(value, self.size), "closed form")

    def at(self, step: Real[ArrayLike, "..."], learning_rate: Real[ArrayLike, "..."]) -> LossTerms:
        """The terms after `step` steps of gradient descent.

        Args:
          step: a whole number, at least 0; may be traced, or an array.
          learning_rate: above 0; same.

        Returns:
          Estimates of the common shape; infinite where the loss has left the range of floats.
        """
        train, generalization, above = _moved(self, jnp.asarray(step), jnp.asarray(learning_rate))
        fixed = jnp.zeros_like(train)
        off = _rounding(above, self.size)
        small = 64 * EPS * train
        last = self.approximation
        estimation = self.estimation
        return LossTerms(
            Estimate(train, small, "closed form"),
            Estimate(generalization, off + small + estimation.error, "closed form"),
            Estimate(fixed + estimation.value, fixed + estimation.error, "closed form"),
            Estimate(fixed + last.value, fixed + last.error, last.method),
            Estimate(above + last.value, off + last.error, last.method),
        )


def _rounding(value: Array, size: Array) -> Array:
    """Error of half a square that is a sum of terms of a given size."""
    off = 64 * EPS * size
    return jnp.where(jnp.isfinite(value), off * (jnp.sqrt(2 * value) + off), jnp.inf)


@eqx.filter_jit
def _moved(
    terms: LossDecomposition, step: Array, learning_rate: Array
) -> tuple[Array, Array, Array]:
    """eps_train, eps_n and L(K) - L(F) at each step and rate."""
    solution = terms.solution
    live = solution.singular > 0

    def one(k: Array, h: Array) -> tuple[Array, Array, Array]:
        train = jnp.sum(jnp.where(live, solution.mode_losses(k, h), 0.0))
        left = power(h * solution.singular**2, k) / jnp.where(live, solution.singular, 1.0)
        modes = jnp.where(live[:, :, None], left[:, :, None] * solution.moving, 0.0)
        here = terms.limit + jnp.einsum("bqm,bmc->bqc", terms.mixing, modes)
        # L(K) - L(*) as a product: with many weights both are close to the same large number.
        apart = 0.5 * jnp.sum((here - terms.star) * (here + terms.star))
        found = (train, jnp.abs(apart - train), 0.5 * jnp.sum(here**2))
        return tuple(jnp.where(jnp.isnan(x), jnp.inf, x) for x in found)  # type: ignore[return-value]

    return jnp.vectorize(one, signature="(),()->(),(),()")(step, learning_rate)


def loss_decomposition(solution: Solvable, population: PopulationSolvable) -> LossDecomposition:
    """theta_* and theta_F of a model that is affine in its weights, exactly.

    theta_F minimizes L. theta_* minimizes L over the minimizers of Lem, which are the limit of
    training and whatever no empirical residual sees: where data determine the weights there is one
    only. May be traced, and batched over data with equinox.filter_vmap.

    Args:
      solution: gradient descent on the empirical loss (`solvable`).
      population: gradient descent on the population loss of a model of the same parametrization
        (`population_solvable`), from any start.

    Raises:
      ValueError: if the two are not of the same parametrization.

    Source: Theorem 3 of arXiv 2406.12839, with {Lem = Lem(*)} in place of {Lem = 0}.
    """
    _check_alike(solution, population)
    return _decomposed(solution, population)


@eqx.filter_jit
def _decomposed(solution: Solvable, population: PopulationSolvable) -> LossDecomposition:
    dynamics = population.dynamics
    seen = dynamics.singular[:, :, None] * dynamics.right  # G
    limit, best = solution.optimum, dynamics.optimum
    end, least = _blocks(solution, limit.weights()), _blocks(dynamics, best.weights())
    apart = jnp.einsum("bqp,bpc->bqc", seen, end - least)
    known = jnp.where((solution.singular > 0)[:, :, None], solution.right, 0.0)
    mixing = jnp.einsum("bqp,bmp->bqm", seen, known)
    unseen = seen - jnp.einsum("bqm,bmp->bqp", mixing, known)
    star = _without(apart, unseen, jnp.max(dynamics.singular, axis=1))
    sizes = jnp.einsum("bqp,bpc->bqc", jnp.abs(seen), jnp.abs(end) + jnp.abs(least))
    size = jnp.sqrt(jnp.sum(sizes**2))
    return LossDecomposition(solution, mixing, apart, star, _approximation(population), size)


def loss_terms(
    solution: Solvable,
    population: PopulationSolvable,
    step: Real[ArrayLike, "..."],
    learning_rate: Real[ArrayLike, "..."],
) -> LossTerms:
    """The terms of Theorem 3's score error along a training, for models affine in their weights.

    Args:
      solution: gradient descent on the empirical loss (`solvable`).
      population: the population loss of the same parametrization (`population_solvable`).
      step: number of steps, at least 0; may be traced, or an array.
      learning_rate: above 0; same.

    Raises:
      ValueError: if the two are not of the same parametrization.

    Source: Theorem 3 of arXiv 2406.12839.
    """
    return loss_decomposition(solution, population).at(step, learning_rate)


def population_terms(
    population: PopulationSolvable,
    step: Real[ArrayLike, "..."],
    learning_rate: Real[ArrayLike, "..."],
) -> LossTerms:
    """The same for gradient descent on the population loss: no data, so eps_n = eps_est = 0.

    Args:
      population: gradient descent on the population loss.
      step: number of steps, at least 0; may be traced, or an array.
      learning_rate: above 0; same.
    """
    excess = population.excess(step, learning_rate)
    live = population.dynamics.singular > 0

    def above(k: Scalar, h: Scalar) -> Array:
        return jnp.sum(jnp.where(live, population.dynamics.mode_losses(k, h), 0.0))

    train = jnp.vectorize(above)(jnp.asarray(step), jnp.asarray(learning_rate))
    last = _approximation(population)
    fixed = jnp.zeros_like(train)
    nothing = Estimate(fixed, fixed, "closed form")
    return LossTerms(
        Estimate(train, 64 * EPS * train, "closed form"),
        nothing,
        nothing,
        Estimate(fixed + last.value, fixed + last.error, last.method),
        Estimate(excess, 64 * EPS * excess + last.error, last.method),
    )


def _approximation(population: PopulationSolvable) -> Estimate:
    """L(F) + C_bar: what training cannot lower, and what an affine score cannot reach."""
    least = population.dynamics.least_loss
    return Estimate(least, 64 * EPS * least, "closed form") + population.gap.total()


def _without(vectors: Array, matrix: Array, size: Array) -> Array:
    """Vectors less their parts in the column space of a matrix, block by block.

    The matrix is a difference of others, whose size says how much of it is rounding, [blocks].
    """
    left, singular, _ = _svd_blocks(matrix)
    live = singular > 64 * EPS * max(matrix.shape[1:]) * size[:, None]
    basis = jnp.where(live[:, None, :], left, 0.0)
    return vectors - jnp.einsum("bqr,bsr,bsc->bqc", basis, basis, vectors)


def _svd_blocks(matrix: Array) -> tuple[Array, Array, Array]:
    return eqx.filter_vmap(svd)(matrix)


def _blocks(solution: Solvable, weights: Weights) -> Float[Array, "blocks parameters columns"]:
    """Weights as the problem's blocks see them."""
    theta = float64(weights[0])
    parts = theta.reshape(theta.shape[0], -1, solution.right.shape[2])
    return jnp.moveaxis(parts[:, solution.places, :], 0, 2)


def _check_alike(solution: Solvable, population: PopulationSolvable) -> None:
    shapes: list[Any] = [
        (x.right.shape[0], x.right.shape[2], x.moving.shape[2], x.levels)
        for x in (solution, population.dynamics)
    ]
    if not solution.separable or shapes[0] != shapes[1]:
        raise refusal(
            "(blocks, parameters, outputs, levels) of the solution",
            shapes[0],
            f"{shapes[1]}, those of the population",
            "solve both with the same model and levels",
        )
