"""Two-layer ReLU networks, with the hidden layer trained or both layers."""

from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Key, Scalar, named_key
from design_space.scores.model import AbstractModel, Factor, Weights, training_dtype, with_level


@final
class TwoLayer(AbstractModel):
    """S(x, sigma) = A relu(B [x, sigma]).

    With only A trained a two-layer network is a random-feature model: see `random_features`.

    Attributes:
      inner: B, shape [width, dim + 1], trained.
      outer: A, shape [dim, width], trained if `both`.
      both: whether A is trained, too.
    """

    kind: ClassVar[str] = "two-layer"
    inner: Float[Array, "width dim_and_level"]
    outer: Float[Array, "dim width"]
    both: bool = eqx.field(static=True, default=False)

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        return self.outputs(x, sigma)[0] @ self.outer.T

    def outputs(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Array]:
        """Relu(B [x, sigma]), shape [width]."""
        return (jax.nn.relu(with_level(x, sigma) @ self.inner.T),)

    def weights(self) -> Weights:
        """B, and A if both are trained."""
        return (self.inner, self.outer) if self.both else (self.inner,)

    def with_weights(self, weights: Weights) -> "TwoLayer":
        """See AbstractModel."""
        return TwoLayer(weights[0], weights[1] if self.both else self.outer, self.both)

    @property
    def width(self) -> int:
        """The number m of neurons in a layer."""
        return self.outer.shape[-1]

    def factors(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Factor, ...]:
        """B: input [x, sigma], back A diag(q > 0); A: input q = relu(B [x, sigma]), back I."""
        given = with_level(x, sigma)
        output = jax.nn.relu(given @ self.inner.T)
        first = Factor(given, jnp.where(output[None, :] > 0, self.outer, 0))
        second = Factor(output, jnp.eye(x.shape[0], dtype=output.dtype))
        return (first, second) if self.both else (first,)


def two_layer(
    key: Key, dim: int, width: int, both: bool = False, dtype: Any = "float64"
) -> TwoLayer:
    """A two-layer network: entries of B are N(0, 2/m), those of A are N(0, 1/d).

    Args:
      key: random key; batch over keys with jax.vmap for an ensemble.
      dim: dimension d of the data.
      width: m.
      both: whether the outer layer is trained, too.
      dtype: "float32" or "float64".

    Raises:
      ValueError: if a size is below 1 or the number type is none of these.
    """
    for name, size in (("dim", dim), ("width", width)):
        checks.count(name, size)
    dtype = training_dtype(dtype)

    def drawn(name: str, variance: float, *shape: int) -> Array:
        return variance**0.5 * jax.random.normal(named_key(key, name), shape, dtype)

    inner = drawn("inner", 2 / width, width, dim + 1)
    return TwoLayer(inner, drawn("outer", 1 / dim, dim, width), both)
