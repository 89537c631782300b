"""The deep ReLU network of the paper: first and last layer fixed, hidden layers trained."""

from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Key, Scalar, named_key
from design_space.numerics.memory import GIB, available_bytes
from design_space.scores.model import AbstractModel, Factor, Weights, training_dtype, with_level


@final
class ReluNetwork(AbstractModel):
    """S(x, sigma) = W_{L+1} relu(W_L ... relu(W_1 relu(W_0 [x, sigma]))), without biases.

    W_1, ..., W_L are trained; W_0 and W_{L+1} stay as they were drawn.

    Attributes:
      first: W_0, shape [width, dim + 1]; its last column meets the noise level.
      hidden: W_1, ..., W_L, each of shape [width, width].
      last: W_{L+1}, shape [dim, width].

    Source: eq. (8) of arXiv 2406.12839.
    """

    kind: ClassVar[str] = "relu"
    first: Float[Array, "width dim_and_level"]
    hidden: Weights
    last: Float[Array, "dim width"]

    def outputs(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Array, ...]:
        """q_0, ..., q_L, the outputs of the layers before the last, each of shape [width]."""
        outputs = [jax.nn.relu(with_level(x, sigma) @ self.first.T)]
        for matrix in self.hidden:
            outputs.append(jax.nn.relu(outputs[-1] @ matrix.T))
        return tuple(outputs)

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        return self.outputs(x, sigma)[-1] @ self.last.T

    def weights(self) -> Weights:
        """W_1, ..., W_L."""
        return self.hidden

    def with_weights(self, weights: Weights) -> "ReluNetwork":
        """See AbstractModel."""
        return ReluNetwork(self.first, tuple(weights), self.last)

    @property
    def width(self) -> int:
        """The number m of neurons in a layer."""
        return self.last.shape[-1]

    def factors(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Factor, ...]:
        """Layer l: input q_{l-1}, back W_{L+1} D_L W_L ... W_{l+1} D_l, D_l = diag(q_l > 0)."""
        outputs, back, found = self.outputs(x, sigma), self.last, []
        for level in range(len(self.hidden), 0, -1):
            back = jnp.where(outputs[level][None, :] > 0, back, 0)
            found.append(Factor(outputs[level - 1], back))
            back = back @ self.hidden[level - 1]
        return tuple(reversed(found))


def relu_network(
    key: Key, dim: int, width: int, depth: int = 1, dtype: Any = "float64"
) -> ReluNetwork:
    """A deep ReLU network as the paper draws it.

    Entries of W_0, ..., W_L are N(0, 2/m), those of W_{L+1} are N(0, 1/d).

    Args:
      key: random key; batch over keys with jax.vmap for an ensemble.
      dim: dimension d of the data.
      width: m.
      depth: L, the number of trained layers, at least 1.
      dtype: "float32" or "float64".

    Raises:
      ValueError: if a size is below 1 or the number type is none of these.
      MemoryError: if the matrices do not fit into memory; the message names a width that does.

    Source: section 3.1 of arXiv 2406.12839.
    """
    for name, size in (("dim", dim), ("width", width), ("depth", depth)):
        checks.count(name, size)
    dtype = training_dtype(dtype)
    _check_memory(dim, width, depth, dtype.itemsize)

    def drawn(name: str, variance: float, *shape: int) -> Array:
        return variance**0.5 * jax.random.normal(named_key(key, name), shape, dtype)

    hidden = tuple(drawn(f"hidden {i}", 2 / width, width, width) for i in range(1, depth + 1))
    first = drawn("first", 2 / width, width, dim + 1)
    return ReluNetwork(first, hidden, drawn("last", 1 / dim, dim, width))


def _check_memory(dim: int, width: int, depth: int, item: int) -> None:
    """Refuses matrices that do not fit into memory."""
    needed, free = item * width * (depth * width + 2 * dim + 1), available_bytes()
    if free is None or needed <= free:
        return
    fit = int((free / (item * (depth + 1))) ** 0.5)
    raise MemoryError(
        f"width = {width}: out of memory; {depth} matrices {width}x{width} take {needed / GIB:.3g} "
        f"GiB, {free / GIB:.3g} GiB are free; take a width of at most {fit}, or float32"
    )
