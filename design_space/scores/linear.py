"""Models that are linear in their weights: one trained matrix times known features."""

from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Key, Scalar, named_key
from design_space.schedules.schedule import Schedule
from design_space.scores.base import Deviation, affine_deviation
from design_space.scores.features import (
    AbstractFeatures,
    LevelFeatures,
    ReluFeatures,
    SharedFeatures,
)
from design_space.scores.model import AbstractModel, Factor, Row, Weights, training_dtype
from design_space.targets.gaussian import Gaussian


@final
class LinearModel(AbstractModel):
    """S(x, sigma) = Theta phi(x, sigma).

    Attributes:
      features: phi, not trained.
      theta: Theta, shape [dim, count], trained.

    Raises:
      ValueError: if Theta has not one column for each feature.
    """

    kind: ClassVar[str] = "linear"
    features: AbstractFeatures
    theta: Float[Array, "dim count"]

    def __check_init__(self):
        if self.theta.ndim == 2:  # a batched model under vmap has more
            columns, count = self.theta.shape[1], self.features.count
            checks.same_dimension("theta.shape[1]", columns, "the features", count)

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        return self.theta @ self.features(x, sigma)

    def outputs(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Array]:
        """Phi(x, sigma), shape [count]."""
        return (self.features(x, sigma),)

    def weights(self) -> Weights:
        """Theta."""
        return (self.theta,)

    def with_weights(self, weights: Weights) -> "LinearModel":
        """See AbstractModel."""
        return LinearModel(self.features, weights[0])

    def factors(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Factor, ...]:
        """Input phi(x, sigma), back I."""
        given = self.features(x, sigma)
        return (Factor(given, jnp.eye(self.theta.shape[0], dtype=given.dtype)),)

    @property
    def is_linear(self) -> bool:
        """True."""
        return True

    @property
    def level_blocks(self) -> int:
        """That of the features."""
        return self.features.level_blocks

    @property
    def width(self) -> int | None:
        """The number of random features; None for other features."""
        return self.features.count if isinstance(self.features, ReluFeatures) else None

    def row(self, x: Float[Array, " dim"], sigma: Scalar) -> Row:
        """Input phi(x, sigma), offset 0."""
        return Row(self.features(x, sigma), jnp.zeros_like(x))

    def affine(self, sigma: Scalar) -> tuple[Array, Array] | None:
        """Theta P and Theta q, if phi = P x + q; see AbstractModel."""
        found = self.features.coefficients(sigma)
        return None if found is None else (self.theta @ found[0], self.theta @ found[1])

    def kinks(self, sigma: Scalar) -> Float[Array, " kinks"] | None:
        """Those of the features."""
        return self.features.kinks(sigma)

    def deviation(self, target: Gaussian, sigma: Scalar) -> Deviation | None:
        """From A x + b where the features are affine in x; see AbstractScore."""
        found = self.affine(sigma)
        return None if found is None else affine_deviation(target, sigma, *found)


def _model(features: AbstractFeatures, dim: int, dtype: Any, weights: Any) -> LinearModel:
    """The model with given weights, or with weights zero."""
    shape = (dim, features.count)
    if weights is None:
        return LinearModel(features, jnp.zeros(shape, dtype))
    weights = checks.numbers("weights", weights, 2)
    if weights.shape != shape:
        raise checks.refusal("weights.shape", weights.shape, str(shape), "match dim and features")
    return LinearModel(features, jnp.asarray(weights, dtype))


def per_level_affine(
    dim: int, levels: Any, intercept: bool = True, dtype: Any = "float64", weights: Any = None
) -> LinearModel:
    """S(x, sigma_j) = A_j x + b_j with a full matrix at each noise level; NaN at other levels.

    Args:
      dim: dimension d of the data.
      levels: a schedule, whose levels sigma_1 < ... < sigma_N are taken, or the levels, ascending;
        inside a preconditioned model their coordinates ln(sigma_j)/4.
      intercept: whether there are b_j.
      dtype: "float32" or "float64".
      weights: Theta, shape [dim, levels (dim + 1)], level by level (A_j, b_j); zero unless given.

    Raises:
      ValueError: if dim is below 1, the levels do not ascend, or the weights have another shape.
    """
    checks.count("dim", dim)
    dtype = training_dtype(dtype)
    if isinstance(levels, Schedule):
        levels = levels.forward_sigmas[1:]
    levels = jnp.asarray(checks.nonempty("levels", levels, 1), dtype)
    return _model(LevelFeatures(sigmas=levels, dim=dim, intercept=intercept), dim, dtype, weights)


def shared_affine(
    dim: int, scales: Any, intercept: bool = True, dtype: Any = "float64", weights: Any = None
) -> LinearModel:
    """S(x, sigma) = sum_l (A_l x + b_l) / (c_l^2 + sigma^2).

    Args:
      dim: dimension d of the data.
      scales: c_l, at least 0, in data units.
      intercept: whether there are b_l.
      dtype: "float32" or "float64".
      weights: Theta, shape [dim, scales (dim + 1)], scale by scale (A_l, b_l); zero unless given.

    Raises:
      ValueError: if dim is below 1, a scale is negative, or the weights have another shape.
    """
    checks.count("dim", dim)
    dtype = training_dtype(dtype)
    scales = jnp.asarray(checks.nonempty("scales", scales, 1), dtype)
    return _model(SharedFeatures(scales=scales, dim=dim, intercept=intercept), dim, dtype, weights)


def random_features(
    key: Key,
    dim: int,
    width: int,
    dtype: Any = "float64",
    bias: bool = False,
    weights: Any = None,
) -> LinearModel:
    """S(x, sigma) = Theta relu(B [x, sigma]) / sqrt(width), the entries of B drawn from N(0, 1).

    Args:
      key: random key; batch over keys with jax.vmap for an ensemble.
      dim: dimension d of the data.
      width: number of features.
      dtype: "float32" or "float64".
      bias: whether the input is [x, sigma, 1].
      weights: Theta, shape [dim, width]; zero unless given.

    Raises:
      ValueError: if a size is below 1, or the weights have another shape.
    """
    for name, size in (("dim", dim), ("width", width)):
        checks.count(name, size)
    dtype = training_dtype(dtype)
    inputs = dim + 2 if bias else dim + 1
    directions = jax.random.normal(named_key(key, "directions"), (width, inputs), dtype)
    return _model(ReluFeatures(directions, dim), dim, dtype, weights)
