"""Features phi(x, sigma) of models that are linear in their weights, written for one point."""

import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Scalar, is_concrete
from design_space.scores.model import with_level

_SAME_LEVEL = {"float64": 1e-9, "float32": 1e-5}  # distance at which two levels count as one


class AbstractFeatures(eqx.Module):
    """A map phi(x, sigma) from a point and a noise level to `count` features.

    The noise level may be any coordinate of it, such as the ln(sigma)/4 of a preconditioned model.
    """

    @abc.abstractmethod
    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " count"]:
        """The features at x and noise level sigma.

        Args:
          x: one point, shape [dim].
          sigma: noise level, or the coordinate that stands for it.
        """

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """Number p of features."""

    @property
    def level_blocks(self) -> int:
        """How many equal blocks the features fall into, each read at one noise level only."""
        return 1

    def coefficients(self, sigma: Scalar) -> tuple[Array, Array] | None:
        """P [count, dim] and q [count] of phi = P x + q; None if phi is not affine in x."""
        return None

    def kinks(self, sigma: Scalar) -> Float[Array, " kinks"] | None:
        """Where phi bends, for one-dimensional points; None if it is not known."""
        return None


class AbstractGatedFeatures(AbstractFeatures):
    """phi(x, sigma) = kron(g(sigma), (x, 1)) with gates g of the noise level.

    Without intercept, phi = kron(g(sigma), x). Features come gate by gate.
    """

    dim: eqx.AbstractVar[int]
    intercept: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def gates(self, sigma: Scalar) -> Float[Array, " gates"]:
        """g(sigma)."""

    @property
    def block(self) -> int:
        """Number of features of each gate."""
        return self.dim + 1 if self.intercept else self.dim

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " count"]:
        """See AbstractFeatures."""
        checks.same_dimension("len(x)", x.shape[0], "the features", self.dim)
        extended = jnp.concatenate([x, jnp.ones(1, x.dtype)]) if self.intercept else x
        return jnp.outer(self.gates(sigma), extended).ravel()

    def coefficients(self, sigma: Scalar) -> tuple[Array, Array]:
        """See AbstractFeatures."""
        gates = self.gates(sigma)
        shape = (gates.shape[0], self.block, self.dim)
        unit = jnp.eye(self.block, self.dim, dtype=gates.dtype)
        slope = gates[:, None, None] * jnp.broadcast_to(unit[None], shape)
        last = jnp.zeros(self.block, gates.dtype)
        last = last.at[-1].set(1) if self.intercept else last
        return slope.reshape(-1, self.dim), jnp.outer(gates, last).ravel()

    def kinks(self, sigma: Scalar) -> Float[Array, " kinks"]:
        """None at all: the features are smooth."""
        return jnp.zeros(0)


@final
class LevelFeatures(AbstractGatedFeatures):
    """One-hot gates of the noise level: a linear model in them has its own A_j, b_j at each level.

    At a foreign level the features are NaN. Two levels count as one within 1e-9 (1e-5 if either is
    single precision) of their size plus their distance to the next level.

    Attributes:
      sigmas: the levels, or the coordinates that stand for them, ascending, shape [levels].
      dim: dimension of the data.
      intercept: whether there is a constant feature.

    Raises:
      ValueError: if the levels are not finite and ascending, or dim is below 1.
    """

    sigmas: Float[Array, " levels"]
    dim: int = eqx.field(static=True)
    intercept: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        checks.count("dim", self.dim)
        levels = checks.nonempty("sigmas", self.sigmas, 1)
        if is_concrete(levels) and np.any(np.diff(levels) <= 0):
            raise checks.refusal("sigmas", levels, "strictly ascending", "sort them, each once")

    @property
    def count(self) -> int:
        """Levels times block."""
        return self.sigmas.shape[0] * self.block

    @property
    def level_blocks(self) -> int:
        """One block for each level."""
        return self.sigmas.shape[0]

    def gates(self, sigma: Scalar) -> Float[Array, " gates"]:
        """One at the level of sigma, else zero; NaN at a foreign level."""
        levels = self.sigmas
        given = jnp.asarray(sigma)
        single = jnp.float32 in (levels.dtype, given.dtype)
        # A coordinate near zero has no size of its own: its distance to the next one stands in.
        gaps = jnp.diff(levels) if levels.shape[0] > 1 else jnp.ones(1, levels.dtype)
        gaps = jnp.minimum(jnp.append(gaps, gaps[-1]), jnp.insert(gaps, 0, gaps[0]))
        gaps = gaps[: levels.shape[0]]
        distance = jnp.abs(levels - given)
        i = jnp.argmin(distance)
        reach = _SAME_LEVEL["float32" if single else "float64"] * (jnp.abs(levels) + gaps)[i]
        hot = jax.nn.one_hot(i, levels.shape[0], dtype=levels.dtype)
        return jnp.where(distance[i] <= reach, hot, jnp.nan)


@final
class SharedFeatures(AbstractGatedFeatures):
    """Gates g_l(sigma) = 1/(c_l^2 + sigma^2): a linear model in them couples the noise levels.

    It contains the exact score -(x - m)/(s^2 + sigma^2) of N(m, s^2 I) if s is among the c_l.

    Attributes:
      scales: c_l, at least 0, shape [gates], in data units.
      dim: dimension of the data.
      intercept: whether there are features without x.

    Raises:
      ValueError: if a scale is negative or not finite, or dim is below 1.
    """

    scales: Float[Array, " gates"]
    dim: int = eqx.field(static=True)
    intercept: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        checks.count("dim", self.dim)
        scales = checks.nonempty("scales", self.scales, 1)
        if is_concrete(scales) and np.any(scales < 0):
            raise checks.refusal("scales", scales, "at least 0", "check the signs")

    @property
    def count(self) -> int:
        """Scales times block."""
        return self.scales.shape[0] * self.block

    def gates(self, sigma: Scalar) -> Float[Array, " gates"]:
        """1/(c_l^2 + sigma^2)."""
        return 1 / (self.scales**2 + sigma * sigma)


@final
class ReluFeatures(AbstractFeatures):
    """phi(x, sigma) = relu(B [x, sigma]) / sqrt(width), or relu(B [x, sigma, 1]) / sqrt(width).

    Attributes:
      directions: B, shape [width, dim + 1], or [width, dim + 2] with biases; not trained.
      dim: dimension of the data.

    Raises:
      ValueError: if the directions have another number of columns.
    """

    directions: Float[Array, "width inputs"]
    dim: int = eqx.field(static=True)

    def __check_init__(self):
        checks.count("dim", self.dim)
        columns = self.directions.shape[1]
        if columns not in (self.dim + 1, self.dim + 2):
            allowed = f"dim + 1 = {self.dim + 1}, or {self.dim + 2} with biases"
            raise checks.refusal("directions.shape[1]", columns, allowed, "match the dimension")

    @property
    def count(self) -> int:
        """Width."""
        return self.directions.shape[0]

    def _with_one(self, given: Float[Array, "..."]) -> Float[Array, "..."]:
        """[x, sigma] with the one that meets the biases, if there are any."""
        biases = self.directions.shape[1] - given.shape[0]
        return jnp.concatenate([given, jnp.ones(biases, given.dtype)])

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " count"]:
        """See AbstractFeatures."""
        checks.same_dimension("len(x)", x.shape[0], "the features", self.dim)
        outputs = jax.nn.relu(self.directions @ self._with_one(with_level(x, sigma)))
        return outputs / self.count**0.5

    def kinks(self, sigma: Scalar) -> Float[Array, " kinks"] | None:
        """Zeros x of B [x, sigma, 1], one for each feature."""
        if self.dim != 1:
            return None
        zero = self._with_one(with_level(jnp.zeros(1, self.directions.dtype), sigma))
        slope, level = self.directions[:, 0], self.directions @ zero
        return jnp.where(slope == 0, jnp.inf, -level / jnp.where(slope == 0, 1, slope))
