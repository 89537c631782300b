"""Array and key types, and the one question asked everywhere: is this value concrete?"""

import math
from typing import TYPE_CHECKING

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Real

__all__ = [
    "EPS",
    "Array",
    "ArrayLike",
    "Bool",
    "Float",
    "Int",
    "Key",
    "Real",
    "Scalar",
    "float64",
    "is_concrete",
    "named_key",
]

Key = PRNGKeyArray
if TYPE_CHECKING:
    Scalar = float | Array
else:
    Scalar = Real[ArrayLike, ""]
"""A number: a Python int or float, a NumPy scalar or a JAX array of rank zero."""

EPS = float(np.finfo(np.float64).eps)
"""Spacing of float64 at one, 2^-52."""

X64_REMEDY = 'run `import jax; jax.config.update("jax_enable_x64", True)` before computing'


def float64(value: ArrayLike) -> Array:
    """Returns `value` as a float64 array.

    Args:
      value: anything that NumPy can read as numbers.

    Raises:
      ValueError: if 64-bit floats are switched off in JAX. Exact quantities are never served in
        float32; the message holds the line that switches them on.
    """
    if not jax.config.read("jax_enable_x64"):
        raise ValueError(
            f"jax_enable_x64 = False: exact quantities need 64-bit floats; {X64_REMEDY}"
        )
    return jnp.asarray(value, dtype=jnp.float64)


def is_concrete(*values: object) -> bool:
    """Says whether none of `values` (pytrees) holds a traced array."""
    return not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(values))


def named_key(key: Key, name: str) -> Key:
    """Derives a key from `key` by name, so that adding a consumer never shifts another's stream."""
    digest = 0
    for byte in name.encode():
        digest = (digest * 257 + byte) % (2**31 - 1)
    return jax.random.fold_in(key, math.floor(digest))
