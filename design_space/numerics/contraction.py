"""Powers of a contraction, (1 - r)^k, accurate for small r, many steps, and r beyond 1."""

import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar


def signed_log_power(
    rate: Float[Array, "*shape"], step: Scalar
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """The sign of (1 - r)^k and the logarithm of its size, -inf where it is 0.

    Args:
      rate: r, at least 0.
      step: k, a whole number of at least 0.
    """
    k = jnp.asarray(step, rate.dtype)
    over = rate > 1
    # 1 - r and r - 1 are both 1 plus something that is exact, or small.
    log = jnp.log1p(jnp.where(over, rate - 2, -rate))
    sign = jnp.where(over & (jnp.mod(k, 2) == 1), -1.0, 1.0)
    return sign, jnp.where(k == 0, 0.0, k * log)


def power(rate: Float[Array, "*shape"], step: Scalar) -> Float[Array, "*shape"]:
    """(1 - r)^k, infinite once it has left the range of floats.

    Args: as for `signed_log_power`.
    """
    sign, log = signed_log_power(rate, step)
    return sign * jnp.exp(log)
