"""What this machine can do at most: the rate of its matrix products and of its memory."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from design_space.commands.bench.timing import Work, in_turn


class Rate(NamedTuple):
    """A rate of the machine.

    Attributes:
      name: of the rate.
      what: what was timed, in words.
      value: the rate.
      unit: its unit.
    """

    name: str
    what: str
    value: float
    unit: str


class Sizes(NamedTuple):
    """How much is timed.

    Attributes:
      order: of the square matrices.
      copied: bytes of the array that is copied, far more than a cache holds.
    """

    order: int
    copied: int


def sizes(platform: str) -> Sizes:
    """The sizes for a platform of JAX.

    Args:
      platform: "cpu", "gpu" or "tpu".
    """
    return Sizes(1536, 1 << 27) if platform == "cpu" else Sizes(8192, 1 << 31)


def _product(order: int, kind: str) -> Callable[[], Any]:
    matrix = jnp.full((order, order), 1 / order, kind)
    multiply = jax.jit(jnp.matmul)
    return lambda: multiply(matrix, matrix)


def _copy(count: int) -> Callable[[], Any]:
    """Copies bytes in the memory that JAX computes in."""
    if jax.default_backend() == "cpu":
        source = np.ones(count // 8)
        target = np.zeros_like(source)
        return lambda: np.copyto(target, source)
    array = jnp.ones(count // 8)
    return lambda: jnp.copy(array)


def rates(size: Sizes, rounds: int = 5) -> list[Rate]:
    """Measures the rates.

    Args:
      size: how much is timed.
      rounds: how often; the median counts.

    Returns:
      Matrix products in double and in single precision, in GFLOP/s, and the copying of memory, in
      GB/s, where a byte counts once for being read and once for being written.
    """
    kinds = ("float64", "float32")
    works = {kind: Work(kind, _product(size.order, kind)) for kind in kinds}
    works["copy"] = Work("copy", _copy(size.copied))
    times = in_turn(works, rounds)
    flops = 2 * size.order**3
    found = [
        Rate(
            f"matrix-product-{kind}",
            f"product of two matrices of order {size.order}, {kind}",
            flops / times[kind].seconds / 1e9,
            "GFLOP/s",
        )
        for kind in kinds
    ]
    what = f"copy of {size.copied / 1e6:.0f} MB, read and written"
    gigabytes = 2 * size.copied / times["copy"].seconds / 1e9
    return [*found, Rate("memory-copy", what, gigabytes, "GB/s")]
