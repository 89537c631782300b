"""A multilayer perceptron: every layer trained, with biases, a smooth bend, and class labels."""

from collections.abc import Callable
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Int, Key, Scalar, is_concrete, named_key
from design_space.scores.model import (
    NO_CLASS,
    AbstractModel,
    Factor,
    Weights,
    training_dtype,
    with_level,
)

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
}
"""Bends of the hidden layers, by name."""


@final
class Perceptron(AbstractModel):
    """S(x, sigma) = W_L [h_L, 1], h_l = act(W_{l-1} [h_{l-1}, 1]), h_0 = [x, sigma, e_label].

    e_label is the unit vector of the class, and zero for no class. All W_l are trained; their last
    columns are the biases.

    Attributes:
      matrices: W_0, ..., W_L, of shapes [width, dim + 1 + labels + 1], [width, width + 1] and
        [dim, width + 1].
      label: the class that is asked for, 0, ..., labels - 1; NO_CLASS for none.
      labels: how many classes there are; 0 for a model without labels.
      activation: a name in ACTIVATIONS.
    """

    kind: ClassVar[str] = "perceptron"
    matrices: Weights
    label: Int[Array, ""]
    labels: int = eqx.field(static=True)
    activation: str = eqx.field(static=True, default="silu")

    def _input(self, x: Float[Array, " dim"], sigma: Scalar) -> Array:
        unit = jax.nn.one_hot(self.label, self.labels, dtype=x.dtype)  # zero for no class
        return jnp.concatenate([with_level(x, sigma), unit])

    def _steps(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[list[Array], list[Array]]:
        """What each layer is applied to, and what it gives before its bend."""
        act, given, before = ACTIVATIONS[self.activation], [], []
        value = self._input(x, sigma)
        for matrix in self.matrices:
            given.append(jnp.concatenate([value, jnp.ones(1, value.dtype)]))
            before.append(given[-1] @ matrix.T)
            value = act(before[-1])
        return given, before

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        return self._steps(x, sigma)[1][-1]

    def outputs(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Array, ...]:
        """h_1, ..., h_L, each of shape [width]."""
        return tuple(h[:-1] for h in self._steps(x, sigma)[0][1:])

    def weights(self) -> Weights:
        """W_0, ..., W_L."""
        return self.matrices

    def with_weights(self, weights: Weights) -> "Perceptron":
        """See AbstractModel."""
        return Perceptron(tuple(weights), self.label, self.labels, self.activation)

    def given(self, label: Any) -> "Perceptron":
        """See AbstractModel."""
        if self.labels == 0:
            remedy = "make the model with classes=..., or leave the label out"
            raise checks.refusal("label", label, "not given to a model without classes", remedy)
        label = NO_CLASS if label is None else label
        if is_concrete(label) and not NO_CLASS <= int(np.asarray(label)) < self.labels:
            domain = f"0 to {self.labels - 1}, or None for no class"
            raise checks.refusal("label", label, domain, "take one of these")
        asked = jnp.asarray(label, self.label.dtype)
        return Perceptron(self.matrices, asked, self.labels, self.activation)

    @property
    def classes(self) -> int:
        """See AbstractModel."""
        return self.labels

    @property
    def width(self) -> int:
        """The number m of neurons in a layer."""
        return self.matrices[-1].shape[-1] - 1

    def factors(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Factor, ...]:
        """Layer l: input [h_l, 1], back W_L D_L ... W_{l+1} D_{l+1}, D_l = diag(act')."""
        given, before = self._steps(x, sigma)
        slope = jax.vmap(jax.grad(ACTIVATIONS[self.activation]))
        back = jnp.eye(x.shape[0], dtype=before[-1].dtype)
        found = [Factor(given[-1], back)]
        for level in range(len(self.matrices) - 2, -1, -1):
            back = (back @ self.matrices[level + 1][:, :-1]) * slope(before[level])[None, :]
            found.append(Factor(given[level], back))
        return tuple(reversed(found))


def perceptron(
    key: Key,
    dim: int,
    width: int,
    depth: int = 2,
    *,
    classes: int = 0,
    activation: str = "silu",
    dtype: Any = "float32",
) -> Perceptron:
    """A multilayer perceptron with random weights.

    Entries of W_0, ..., W_{L-1} are N(0, 2/fan_in), those of W_L are N(0, 1/fan_in); fan_in is the
    number of columns.

    Args:
      key: random key; batch over keys with jax.vmap for an ensemble.
      dim: dimension d of the data.
      width: m, neurons in a hidden layer.
      depth: L, the number of hidden layers, at least 1.
      classes: number of class labels; 0 for a model without.
      activation: "silu", "tanh" or "relu".
      dtype: "float32" or "float64".

    Raises:
      ValueError: if a size is out of its domain, or a name is none of these.
    """
    for name, size in (("dim", dim), ("width", width), ("depth", depth)):
        checks.count(name, size)
    checks.count("classes", classes, least=0)
    checks.one_of("activation", activation, tuple(ACTIVATIONS))
    dtype = training_dtype(dtype)
    columns = [dim + 1 + classes + 1, *[width + 1] * depth]
    rows = [*[width] * depth, dim]
    matrices = tuple(
        (2 if layer < depth else 1) ** 0.5
        / fan_in**0.5
        * jax.random.normal(named_key(key, f"layer {layer}"), (out, fan_in), dtype)
        for layer, (out, fan_in) in enumerate(zip(rows, columns, strict=True))
    )
    return Perceptron(matrices, jnp.asarray(NO_CLASS, jnp.int32), classes, activation)
