"""Studies of many designs as columns of numbers, one entry for each design."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


def each(formula: Callable, *columns: np.ndarray) -> np.ndarray:
    """A formula of JAX numbers for each design.

    Args:
      formula: of one number from each column.
      columns: of one shape.
    """
    flat = (jnp.asarray(np.ravel(x), dtype=jnp.float64) for x in columns)
    return np.asarray(jax.jit(jax.vmap(formula))(*flat)).reshape(np.shape(columns[0]))


def labels(**columns: np.ndarray) -> tuple[str, ...]:
    """What each design is, from its numbers by name."""
    rows = zip(*columns.values(), strict=True)
    return tuple(
        ", ".join(f"{key} {value:.4g}" for key, value in zip(columns, row, strict=True))
        for row in rows
    )


def normals(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal numbers from uniform ones (Box and Muller), the same on every machine.

    Args:
      random: the generator.
      shape: of the array.
    """
    radius = np.sqrt(-2 * np.log1p(-random.random(shape)))
    return radius * np.cos(2 * np.pi * random.random(shape))
