"""Denoising score matching on data: the residuals f_ij and the loss that they make.

Notation: data x_i (i = 1, ..., n), forward noise levels sigma_j (j = 1, ..., N), one noise xi_ij
for each pair, X_ij = x_i + sigma_j xi_ij, total weighting beta_j.

  r_ij = sigma_j S(X_ij, sigma_j) + xi_ij,   f_ij = beta_j |r_ij|^2,   loss = (1/2n) sum_ij f_ij.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, ArrayLike, Float, Int, Key, is_concrete, named_key
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.model import AbstractModel, training_dtype
from design_space.weightings.base import AbstractWeighting


class DenoisingData(eqx.Module):
    """What an empirical denoising loss is made of. Levels ascend in noise, j = 1, ..., N.

    Attributes:
      points: data x_i, shape [points, dim], in data units.
      noise: xi_ij, standard normal, shape [points, levels, dim].
      sigmas: noise levels sigma_j, shape [levels].
      beta: total weighting beta_j, above 0, shape [levels].
      labels: class of each point, or NO_CLASS, shape [points]; None for models without classes.
    """

    points: Float[Array, "points dim"]
    noise: Float[Array, "points levels dim"]
    sigmas: Float[Array, " levels"]
    beta: Float[Array, " levels"]
    labels: Int[Array, " points"] | None = None

    @property
    def noisy(self) -> Float[Array, "points levels dim"]:
        """X_ij = x_i + sigma_j xi_ij."""
        return self.points[:, None, :] + self.sigmas[None, :, None] * self.noise

    @property
    def scales(self) -> Float[Array, " levels"]:
        """a_j = beta_j sigma_j^2, the weight of |S|^2 at each level."""
        return self.beta * self.sigmas**2


def trained_total(weighting: AbstractWeighting, schedule: Schedule) -> Float[Array, " levels"]:
    """The total weighting beta_j of a loss that trains every level.

    Args:
      weighting: gives beta_j, by its `total`.
      schedule: gives the levels sigma_1 < ... < sigma_N.

    Raises:
      ValueError: if a beta_j is not finite or not above 0.
    """
    beta = weighting.total(schedule)
    if is_concrete(beta):
        values = np.asarray(beta)
        if not (np.all(np.isfinite(values)) and np.all(values > 0)):
            bad = int(np.argmin(np.isfinite(values) & (values > 0)))
            raise checks.refusal(
                f"weighting.total(schedule)[{bad}]",
                float(values[bad]),
                "finite and above 0: every level is trained",
                "narrow the range of noise levels, or take another weighting",
            )
    return beta


def denoising_data(
    points: ArrayLike | Sequence[Any],
    schedule: Schedule,
    weighting: AbstractWeighting,
    key: Key,
    dtype: Any = "float64",
    labels: ArrayLike | Sequence[Any] | None = None,
) -> DenoisingData:
    """Draws the noise of an empirical denoising loss.

    Args:
      points: data x_i, shape [n, dim]; draws of a target, or own data.
      schedule: gives the levels sigma_1 < ... < sigma_N; sigma_0 is not trained.
      weighting: gives beta_j, by its `total`.
      key: random key of the noise.
      dtype: "float32" or "float64", the number type of training.
      labels: class of each point, whole numbers, shape [n]; for models that take labels.

    Raises:
      ValueError: if the data are empty or not finite, a beta_j is not finite or not above 0, or a
        number is out of the range of the number type.
    """
    data: Any = checks.nonempty("points", points, 2)
    beta = trained_total(weighting, schedule)
    dtype = training_dtype(dtype)
    _check_range("points", data, dtype)
    _check_range("weighting.total(schedule)", beta, dtype)
    shape = (data.shape[0], schedule.steps, data.shape[1])
    noise = jax.random.normal(named_key(key, "noise"), shape, dtype)
    levels = jnp.asarray(schedule.forward_sigmas[1:], dtype)
    classes = None if labels is None else _labels(labels, data.shape[0])
    return DenoisingData(jnp.asarray(data, dtype), noise, levels, jnp.asarray(beta, dtype), classes)


def _labels(labels: Any, points: int) -> Int[Array, " points"]:
    """Checks one class for each point."""
    given = np.asarray(labels)
    if given.shape != (points,) or given.dtype.kind not in "iu" or np.any(given < 0):
        domain = f"{points} whole numbers of at least 0, one for each point"
        raise checks.refusal("labels", labels, domain, "number the classes from 0")
    return jnp.asarray(given, jnp.int32)


def _check_range(field: str, value: Any, dtype: Any) -> None:
    """Refuses what a number type turns into infinity, or a positive weight into 0."""
    if not is_concrete(value):
        return
    sizes, limits = np.abs(np.asarray(value)), np.finfo(dtype)
    least = limits.tiny if field != "points" else 0.0
    off = sizes[(sizes > limits.max) | (sizes < least)]
    if off.size:
        domain = f"between {least:.3g} and {limits.max:.3g} in size for {dtype}"
        raise checks.refusal(field, float(off[0]), domain, "scale it, or take float64")


def at_rows(
    function: Callable[..., Array], model: AbstractScore, data: DenoisingData, *rows: Array
) -> Array:
    """A function of a model at every point and level, with the model of each point's class.

    Args:
      function: of the model and of one row of each of `rows`.
      model: a score; one that takes class labels if the data have them.
      data: gives the labels.
      rows: arrays of shape [points, levels, ...].

    Returns:
      Shape [points, levels, ...].
    """
    points, levels = data.noise.shape[:2]
    # one axis: matrix products need no transposes
    flat = [row.reshape(points * levels, *row.shape[2:]) for row in rows]
    if data.labels is None:
        found = jax.vmap(lambda *row: function(model, *row))(*flat)
    else:
        if not isinstance(model, AbstractModel):
            remedy = "give a model that takes class labels, or data without"
            raise checks.refusal("model", type(model).__name__, "a model with classes", remedy)
        each = jnp.repeat(data.labels, levels)
        found = jax.vmap(lambda c, *row: function(model.given(c), *row))(each, *flat)
    return found.reshape(points, levels, *found.shape[1:])


def residuals(score: AbstractScore, data: DenoisingData) -> Float[Array, "points levels dim"]:
    """r_ij = sigma_j S(X_ij, sigma_j) + xi_ij.

    Args:
      score: the score model.
      data: data and noise.
    """
    levels = jnp.broadcast_to(data.sigmas[None, :], data.noise.shape[:2])
    scores = at_rows(lambda model, x, sigma: model(x, sigma), score, data, data.noisy, levels)
    return data.sigmas[None, :, None] * scores + data.noise


def weighted_squares(score: AbstractScore, data: DenoisingData) -> Float[Array, "points levels"]:
    """f_ij = beta_j |sigma_j S(X_ij, sigma_j) + xi_ij|^2.

    Args:
      score: the score model.
      data: data and noise.

    Source: eq. (7) of arXiv 2406.12839.
    """
    return data.beta[None, :] * jnp.sum(residuals(score, data) ** 2, axis=-1)


def empirical_loss(score: AbstractScore, data: DenoisingData) -> Float[Array, ""]:
    """The empirical denoising loss (1/2n) sum_ij f_ij.

    Args:
      score: the score model.
      data: data and noise.

    Source: eq. (7) of arXiv 2406.12839.
    """
    return 0.5 * jnp.sum(weighted_squares(score, data)) / data.points.shape[0]
