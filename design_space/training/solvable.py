"""Gradient descent in closed form, for every model that is affine in its trained parameters.

The loss is a square seen through rows, loss = (1/2)|A M + B|^2 with the weights M. With
A = U diag(s) V^T and the residual rho = A M + B, a step of size h multiplies the component of rho
along column i of U by 1 - h s_i^2 and leaves what is orthogonal to the columns where it was:

  U^T rho_k = (1 - h s^2)^k U^T rho_0,    M_k = M_0 + V (((1 - h s^2)^k - 1) / s) U^T rho_0.

No difference of large numbers is formed: near interpolation the residual decays to nothing, a part
that stays is kept apart, and weights that no residual sees (s = 0) stay where they started.
"""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import (
    EPS,
    Array,
    ArrayLike,
    Float,
    Int,
    Real,
    Scalar,
    float64,
    is_concrete,
)
from design_space.checks import numbers, refusal
from design_space.numerics.contraction import power, signed_log_power
from design_space.numerics.linear_algebra import svd
from design_space.scores.model import AbstractModel, Row, Weights
from design_space.training.objective import DenoisingData, residuals


@final
class Solvable(eqx.Module):
    """The whole trajectory of gradient descent on one loss, from one start.

    The problem may fall into independent blocks (one for each noise level of a per-level model).
    `step` is a whole number, `learning_rate` a number; both may be traced, and arrays of them are
    read entry by entry wherever a number or an array is returned.

    Attributes:
      model: the start.
      left: U, shape [blocks, rows, rank].
      singular: s, descending in each block, zero where the block has no further rank.
      right: V^T, shape [blocks, rank, parameters].
      moving: U^T rho_0, shape [blocks, rank, columns].
      staying: rho_0 - U U^T rho_0, shape [blocks, rows, columns].
      places: which block of the weights each block of the problem is, shape [blocks].
      levels: number N of noise levels; rows come level by level.
      separable: whether the columns are the output coordinates, which share A.
    """

    model: AbstractModel
    left: Float[Array, "blocks rows rank"]
    singular: Float[Array, "blocks rank"]
    right: Float[Array, "blocks rank parameters"]
    moving: Float[Array, "blocks rank columns"]
    staying: Float[Array, "blocks rows columns"]
    places: Int[Array, " blocks"]
    levels: int = eqx.field(static=True)
    separable: bool = eqx.field(static=True)

    @property
    def eigenvalues(self) -> Float[Array, " modes"]:
        """Curvatures s^2 of the loss along its modes, descending; for a separable problem those of
        one output coordinate, which all have the same. There are min(rows, parameters) of them.
        """
        return jnp.sort(jnp.ravel(self.singular**2), descending=True)

    @property
    def stability_limit(self) -> Float[Array, ""]:
        """2 / lambda_max: at a larger learning rate gradient descent diverges."""
        return 2 / jnp.max(self.singular) ** 2

    def mode_losses(self, step: Scalar, learning_rate: Scalar) -> Float[Array, "blocks rank"]:
        """The part of the loss along each mode."""
        _, log = signed_log_power(learning_rate * self.singular**2, step)
        energy = jnp.sum(self.moving**2, axis=2)
        return jnp.where(energy > 0, 0.5 * jnp.exp(2 * log) * energy, 0.0)

    def loss(
        self, step: Real[ArrayLike, "..."], learning_rate: Real[ArrayLike, "..."]
    ) -> Float[Array, "..."]:
        """The loss after `step` steps; infinite where it has left the range of floats."""
        return _losses(self, *_read(step, learning_rate))

    def level_losses(
        self, step: Real[ArrayLike, "..."], learning_rate: Real[ArrayLike, "..."]
    ) -> Float[Array, "... levels"]:
        """What each noise level contributes to the loss."""
        return _level_losses(self, *_read(step, learning_rate))

    def residual_rows(
        self, step: Scalar, learning_rate: Scalar
    ) -> Float[Array, "blocks rows columns"]:
        """The residual rho_k, level by level; infinite where it has left the range of floats."""
        decays = power(learning_rate * self.singular**2, step)
        moved = decays[:, :, None] * self.moving
        rows = jnp.einsum("brm,bmc->brc", self.left, _clear(moved, self.moving)) + self.staying
        return _clear(rows)

    def weights(self, step: Scalar, learning_rate: Scalar) -> Weights:
        """The trained matrices after `step` steps, in float64."""
        return _weights(self, *_read(step, learning_rate))

    def at(self, step: Scalar, learning_rate: Scalar) -> AbstractModel:
        """The model after `step` steps, its weights in float64; batch with equinox.filter_vmap."""
        return self.model.with_weights(self.weights(step, learning_rate))

    @property
    def optimum(self) -> AbstractModel:
        """The limit of gradient descent at stable steps: of all minima the nearest to the start."""
        return self.model.with_weights(self.moved(-jnp.ones_like(self.singular)))

    @property
    def least_loss(self) -> Float[Array, ""]:
        """The loss at the optimum."""
        fixed = jnp.sum(jnp.where(self.singular > 0, 0.0, jnp.sum(self.moving**2, axis=2)))
        return 0.5 * (jnp.sum(self.staying**2) + fixed)

    def moved(self, lost: Float[Array, "blocks rank"]) -> Weights:
        """M_0 + V diag(lost / s) U^T rho_0: each mode times 1 + lost."""
        live = self.singular > 0
        ratio = jnp.where(live, lost / jnp.where(live, self.singular, 1.0), 0.0)
        change = _clear(ratio[:, :, None] * self.moving, self.moving)
        moved = _clear(jnp.einsum("bmp,bmc->bpc", self.right, change))
        start = tuple(float64(matrix) for matrix in self.model.weights())
        if not self.separable:
            return _added(start, moved[0, :, 0])
        theta = start[0].reshape(start[0].shape[0], -1, moved.shape[1])
        theta = theta.at[:, self.places, :].add(jnp.moveaxis(moved, 2, 0))
        return (theta.reshape(start[0].shape),)


def _read(step: Any, learning_rate: Any) -> tuple[Array, Array]:
    """Numbers of steps and learning rates, checked as far as they are known."""
    steps, rates = numbers("step", step), numbers("learning_rate", learning_rate)
    if is_concrete(steps) and np.any(steps < 0):
        raise refusal("step", step, "at least 0", "count the steps done since the start")
    if is_concrete(rates) and np.any(rates <= 0):
        remedy = "take a part of the stability limit"
        raise refusal("learning_rate", learning_rate, "above 0", remedy)
    return jnp.asarray(step), jnp.asarray(learning_rate)


@eqx.filter_jit
def _losses(solution: Solvable, step: Array, learning_rate: Array) -> Array:
    stays = 0.5 * jnp.sum(solution.staying**2)

    def one(k: Array, h: Array) -> Array:
        return jnp.sum(solution.mode_losses(k, h)) + stays

    return jnp.vectorize(one)(step, learning_rate)


@eqx.filter_jit
def _level_losses(solution: Solvable, step: Array, learning_rate: Array) -> Array:
    def one(k: Array, h: Array) -> Array:
        if solution.left.shape[0] == solution.levels:
            stays = 0.5 * jnp.sum(solution.staying**2, axis=(1, 2))
            return jnp.sum(solution.mode_losses(k, h), axis=1) + stays
        return 0.5 * jnp.sum(solution.residual_rows(k, h).reshape(solution.levels, -1) ** 2, axis=1)

    return jnp.vectorize(one, signature="(),()->(n)")(step, learning_rate)


@eqx.filter_jit
def _weights(solution: Solvable, step: Array, learning_rate: Array) -> Weights:
    sign, log = signed_log_power(learning_rate * solution.singular**2, step)
    return solution.moved(jnp.where(sign > 0, jnp.expm1(log), -jnp.exp(log) - 1))


def _clear(values: Array, start: Array | None = None) -> Array:
    """Infinite for the NaN that inf - inf or 0 inf made; zero where the start is zero."""
    values = jnp.where(jnp.isnan(values), jnp.inf, values)
    return values if start is None else jnp.where(start == 0, 0.0, values)


def _added(start: Weights, change: Float[Array, " parameters"]) -> Weights:
    sizes = np.cumsum([matrix.size for matrix in start])[:-1]
    parts = jnp.split(change, sizes)
    return tuple(w + part.reshape(w.shape) for w, part in zip(start, parts, strict=True))


class LevelRows(eqx.Module):
    """Rows of one noise level: the score there is `matrix` M + known, the error is `residual`.

    Attributes:
      matrix: derivative of the score in the weights, shape [rows, parameters].
      residual: error of the score at the start, shape [rows, columns].
    """

    matrix: Float[Array, "rows parameters"]
    residual: Float[Array, "rows columns"]


def solve(
    model: AbstractModel,
    rows_of: Callable[[Any], LevelRows],
    levels: Any,
    scales: Float[Array, " levels"],
    separable: bool,
) -> Solvable:
    """Solves gradient descent on (1/2) sum_j |scale_j (error of the score at level j)|^2.

    Args:
      model: the start.
      rows_of: gives the rows of one level.
      levels: what `rows_of` is called with, stacked along the first axis.
      scales: shape [levels].
      separable: whether the columns of the residuals are the output coordinates.
    """
    blocks = model.level_blocks if separable else 1

    def level(args: Any) -> tuple[LevelRows, Array]:
        found = rows_of(args)
        parts = found.matrix.reshape(found.matrix.shape[0], blocks, -1)
        place = jnp.argmax(jnp.any(parts != 0, axis=(0, 2)))
        return LevelRows(jnp.take(parts, place, axis=1), found.residual), place

    rows, places = jax.lax.map(level, levels)
    matrix, residual = float64(rows.matrix), float64(rows.residual)
    count = scales.shape[0]
    if blocks == 1:  # the levels are coupled: one problem
        matrix = (scales[:, None, None] * matrix).reshape(1, -1, matrix.shape[2])
        residual = (scales[:, None, None] * residual).reshape(1, -1, residual.shape[2])
        scales, places = jnp.ones(1), places[:1]
    left, singular, right = jax.vmap(svd)(matrix)
    least = EPS * max(matrix.shape[1:]) * singular[:, :1]
    singular = scales[:, None] * jnp.where(singular > least, singular, 0.0)
    moving = jnp.einsum("brm,brc->bmc", left, residual)
    staying = jnp.zeros_like(residual)
    if matrix.shape[1] > matrix.shape[2]:
        staying = residual - jnp.einsum("brm,bmc->brc", left, moving)
    moving, staying = scales[:, None, None] * moving, scales[:, None, None] * staying
    return Solvable(model, left, singular, right, moving, staying, places, count, separable)


def check_solvable(model: AbstractModel, sigmas: Float[Array, " levels"], dim: int) -> bool:
    """Checks that training the model is solvable; says whether it separates over the outputs.

    Raises:
      ValueError: if the model is not affine in its trained parameters, or knows not every level.
    """
    if not model.is_linear:
        remedy = "train it by simulated gradient descent"
        raise refusal("model", model.kind, "affine in its trained parameters", remedy)
    row = _rows_of_ones(model, sigmas, dim)
    if row is None:
        return False
    if is_concrete(row):
        known = np.all(np.isfinite(np.asarray(row.input)), axis=1)
        if not np.all(known):
            foreign = float(sigmas[int(np.argmin(known))])
            raise refusal("sigma", foreign, "a level of the model", "build it with these levels")
    return True


@eqx.filter_jit
def _rows_of_ones(model: AbstractModel, sigmas: Array, dim: int) -> Row | None:
    return jax.vmap(lambda s: model.row(jnp.ones(dim, sigmas.dtype), s))(sigmas)


def known_row(model: AbstractModel, x: Array, sigma: Array) -> Row:
    """The row of a model that is known to have one."""
    row = model.row(x, sigma)
    assert row is not None
    return row


def _jacobian(model: AbstractModel, x: Array, sigma: Array) -> Array:
    """The derivative of the score in all trained parameters, shape [dim, parameters]."""
    parts = [jnp.einsum("cq,p->cqp", f.back, f.input) for f in model.factors(x, sigma)]
    return jnp.concatenate([part.reshape(x.shape[0], -1) for part in parts], axis=1)


@eqx.filter_jit
def _solve_empirical(model: AbstractModel, data: DenoisingData, separable: bool) -> Solvable:
    error = jnp.moveaxis(residuals(model, data) / data.sigmas[None, :, None], 1, 0)

    def rows_of(args: tuple[Array, Array, Array]) -> LevelRows:
        points, sigma, wrong = args
        if separable:
            return LevelRows(jax.vmap(lambda x: known_row(model, x, sigma).input)(points), wrong)
        rows = jax.vmap(lambda x: _jacobian(model, x, sigma))(points)
        return LevelRows(rows.reshape(wrong.size, -1), wrong.reshape(-1, 1))

    scales = jnp.sqrt(float64(data.beta) / data.points.shape[0]) * data.sigmas
    levels = (jnp.moveaxis(data.noisy, 1, 0), data.sigmas, error)
    return solve(model, rows_of, levels, scales, separable)


def solvable(model: AbstractModel, data: DenoisingData) -> Solvable:
    """Full-batch gradient descent on the empirical loss (1/2n) sum_ij f_ij, solved.

    A model of one trained matrix times known features separates over the output coordinates, and a
    per-level model over the levels, too; any other is solved through its Jacobian, with
    (points levels dim) rows. Features are evaluated in the number type of the data.

    Args:
      model: the start; affine in its trained parameters (`is_linear`).
      data: data and noise.

    Raises:
      ValueError: if the model is not affine in its weights, or does not know a level.
    """
    separable = check_solvable(model, data.sigmas, data.points.shape[1])
    return _solve_empirical(model, data, separable)
