"""Scores given by a function of the user: in JAX, or in NumPy or PyTorch."""

from collections.abc import Callable
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, Float, Scalar, is_concrete
from design_space.scores.base import AbstractScore


@final
class FunctionScore(AbstractScore):
    """s(x, sigma) = function(x, sigma) for a JAX function, or an equinox module, of one point.

    Attributes:
      function: the function; arrays inside an equinox module are leaves.
    """

    kind: ClassVar[str] = "function"
    function: Callable[..., Any]

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        value = jnp.asarray(self.function(x, sigma), dtype=jnp.float64)
        if value.shape != x.shape:
            raise ValueError(
                f"score(x, sigma).shape = {value.shape}: must be that of x, {x.shape}; "
                "write the function for one point and return one vector"
            )
        return value


@final
class HostScore(AbstractScore):
    """s(x, sigma) = function(x[None], sigma)[0] for a batch function that runs on the host.

    Attributes:
      function: takes points [n, dim] (NumPy, float64) and sigma (float); returns [n, dim].
    """

    kind: ClassVar[str] = "host"
    function: Callable[..., Any] = eqx.field(static=True)

    def _on_host(self, x: Any, sigma: Any) -> np.ndarray:
        points = np.asarray(x, dtype=np.float64)
        flat = points.reshape(-1, points.shape[-1])
        levels = np.broadcast_to(np.asarray(sigma, dtype=np.float64), points.shape[:-1]).ravel()
        if np.all(levels == levels[0]):
            value = _to_numpy(self.function(flat, float(levels[0])))
        else:
            value = np.concatenate(
                [
                    _to_numpy(self.function(p[None], float(s)))
                    for p, s in zip(flat, levels, strict=True)
                ]
            )
        if value.shape != flat.shape:
            raise ValueError(
                f"score(x, sigma).shape = {value.shape}: must be that of x, {flat.shape}; "
                "return one row per point"
            )
        return value.reshape(points.shape)

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        if is_concrete(x, sigma):
            return jnp.asarray(self._on_host(x, sigma))
        shape = jax.ShapeDtypeStruct(x.shape, jnp.float64)
        level = jnp.asarray(sigma, dtype=jnp.float64)
        return jax.pure_callback(self._on_host, shape, x, level, vmap_method="broadcast_all")


def _to_numpy(value: Any) -> np.ndarray:
    """Reads a NumPy array, or a PyTorch tensor without importing PyTorch."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value, dtype=np.float64)


def function_score(function: Callable[..., Any]) -> AbstractScore:
    """A score from a JAX function of one point.

    Args:
      function: f(x [dim], sigma) -> [dim], made of JAX operations; an equinox module is welcome.

    Returns:
      The score; a result of another shape raises ValueError when it is first used.
    """
    return FunctionScore(function)


def host_score(function: Callable[..., Any]) -> AbstractScore:
    """A score from a NumPy or PyTorch function of a batch of points.

    The function is called on the host (jax.pure_callback); it must not have side effects.

    Args:
      function: f(x [n, dim] NumPy float64, sigma float) -> [n, dim], an array or a tensor.

    Returns:
      The score; a result of another shape raises ValueError when it is first used (inside jit or
      vmap, a jax.errors.JaxRuntimeError that quotes it).
    """
    return HostScore(function)
