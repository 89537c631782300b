"""What every trained score model is: a score whose trained parameters are a tuple of matrices."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import X64_REMEDY, Array, Float, Scalar
from design_space.checks import refusal
from design_space.scores.base import AbstractScore

Weights = tuple[Array, ...]
"""The trained matrices of a model, W_l of shape [out_l, in_l], in the order of the layers."""

NO_CLASS = -1
"""The label of points whose class is left out."""

DTYPES = ("float32", "float64")
"""Number types that models train in."""


class Factor(eqx.Module):
    """The derivative of a score in one trained matrix W [out, in] at one point, an outer product.

    dS_c/dW_{qp} = back_{cq} input_p: a matrix acts on a vector, and what follows is linearized.

    Attributes:
      input: what the matrix is applied to, shape [in].
      back: derivative of the score in the matrix' result, shape [dim, out].
    """

    input: Float[Array, " in"]
    back: Float[Array, "dim out"]


class Row(eqx.Module):
    """S(x, sigma) = Theta input + offset at one point, where one trained matrix Theta acts last.

    Attributes:
      input: what Theta is applied to, free of trained parameters, shape [count].
      offset: what is added, free of trained parameters, shape [dim].
    """

    input: Float[Array, " count"]
    offset: Float[Array, " dim"]


class AbstractModel(AbstractScore):
    """A score model S(x, sigma) with trained parameters, written for one point.

    Everything that trains a model, linearizes it or measures its tangent kernel goes through
    `weights`, `with_weights` and `factors`. What is not in `weights` stays as it was drawn.
    Models apply a matrix as x @ W.T: batched over points, that is a matrix product as it stands,
    while W @ x would be transposed in memory.
    """

    @abc.abstractmethod
    def weights(self) -> Weights:
        """The trained matrices."""

    @abc.abstractmethod
    def with_weights(self, weights: Weights) -> "AbstractModel":
        """The same model with other trained matrices.

        Args:
          weights: of the shapes that `weights` has.
        """

    @abc.abstractmethod
    def factors(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Factor, ...]:
        """The derivative of S(x, sigma) in every trained matrix; batch it with jax.vmap.

        Args:
          x: one point, shape [dim].
          sigma: noise level, in the unit of the data.
        """

    @property
    def is_linear(self) -> bool:
        """Whether S is affine in the trained parameters, so that training is solvable."""
        return False

    def row(self, x: Float[Array, " dim"], sigma: Scalar) -> Row | None:
        """S as one trained matrix times known features; None for any other model.

        Args:
          x: one point, shape [dim].
          sigma: noise level, in the unit of the data.
        """
        return None

    def affine(self, sigma: Scalar) -> tuple[Array, Array] | None:
        """A [dim, dim] and b [dim] of S(x, sigma) = A x + b; None if S is not affine in x."""
        return None

    def kinks(self, sigma: Scalar) -> Float[Array, " kinks"] | None:
        """Where S bends, for one-dimensional points: quadrature splits there. None: unknown."""
        return None

    def outputs(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Array, ...]:
        """What the hidden layers give at one point, from the first on; none unless it has some.

        Args:
          x: one point, shape [dim].
          sigma: noise level, in the unit of the data.
        """
        return ()

    def given(self, label: Any) -> "AbstractModel":
        """The score of one class, for models that take class labels.

        Args:
          label: 0, ..., classes - 1; None, or NO_CLASS where it is traced, for no class.

        Raises:
          ValueError: if the model takes none.
        """
        raise refusal("label", label, "not given", f"a {self.kind} model takes no class labels")

    @property
    def classes(self) -> int:
        """How many class labels the model takes."""
        return 0

    @property
    def level_blocks(self) -> int:
        """How many equal blocks the row falls into, each read at one noise level only."""
        return 1

    @property
    def width(self) -> int | None:
        """m, the number of neurons in a layer; None for a model that has no layers."""
        return None


def training_dtype(dtype: Any) -> Any:
    """Checks a number type for training.

    Args:
      dtype: "float32" or "float64", or what NumPy reads as one of them.

    Raises:
      ValueError: if it is another one, or 64-bit floats are switched off in JAX.
    """
    name = jnp.dtype(dtype).name if not isinstance(dtype, str) else dtype
    if name not in DTYPES:
        raise refusal("dtype", name, " or ".join(DTYPES), "choose one of these")
    if jnp.zeros((), dtype=jnp.result_type(float)).dtype.name == "float32" and name == "float64":
        raise refusal("dtype", name, "float32 while jax_enable_x64 is off", X64_REMEDY)
    return jnp.dtype(name)


def with_level(x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim_and_level"]:
    """The input of a network: the point with the noise level as a last coordinate, [dim + 1]."""
    return jnp.concatenate([x, jnp.asarray(sigma, x.dtype)[None]])
