"""A score that is one trained number in each bin of the line, at each of a few noise levels."""

from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Scalar, is_concrete
from design_space.scores.features import AbstractFeatures, LevelFeatures
from design_space.scores.linear import LinearModel
from design_space.scores.model import training_dtype


@final
class BinFeatures(AbstractFeatures):
    """One feature for each bin at each level: 1 in the bin that holds x, else 0.

    The outer bins reach to infinity. At a foreign level the features are NaN.

    Attributes:
      levels: gates of the noise level, of one dimension and without intercept.
      edges: inner edges of the bins, ascending, shape [levels, bins - 1], in data units.

    Raises:
      ValueError: if there is not one ascending row of edges for each level.
    """

    levels: LevelFeatures
    edges: Float[Array, "levels inner"]

    def __check_init__(self):
        edges = checks.nonempty("edges", self.edges, 2)
        checks.same_dimension("len(edges)", len(edges), "the levels", self.levels.level_blocks)
        if is_concrete(edges) and np.any(np.diff(np.asarray(edges, dtype=float), axis=1) <= 0):
            raise checks.refusal("edges", edges, "strictly ascending in each row", "sort them")

    @property
    def count(self) -> int:
        """Levels times bins."""
        return self.edges.shape[0] * (self.edges.shape[1] + 1)

    @property
    def level_blocks(self) -> int:
        """One block for each level."""
        return self.edges.shape[0]

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " count"]:
        """See AbstractFeatures."""
        checks.same_dimension("len(x)", x.shape[0], "the bins", 1)
        gates = self.levels.gates(sigma)
        own = self.edges[jnp.argmax(gates)]
        hot = jax.nn.one_hot(jnp.sum(own <= x[0]), own.shape[0] + 1, dtype=gates.dtype)
        return jnp.outer(gates, hot).ravel()

    def kinks(self, sigma: Scalar) -> Float[Array, " kinks"]:
        """The edges at the level."""
        return self.edges[jnp.argmax(self.levels.gates(sigma))]


def binned(levels: Any, edges: Any, dtype: Any = "float64", weights: Any = None) -> LinearModel:
    """S(x, sigma_j) = theta_jb for x in bin b of level j, on the line; NaN at other levels.

    Args:
      levels: noise levels, ascending, shape [levels].
      edges: inner edges of the bins, ascending, shape [levels, bins - 1]; the outer bins reach to
        infinity.
      dtype: "float32" or "float64".
      weights: theta, shape [levels, bins]; zero unless given.

    Raises:
      ValueError: if levels or edges do not ascend, or the weights have another shape.
    """
    dtype = training_dtype(dtype)
    sigmas = jnp.asarray(checks.nonempty("levels", levels, 1), dtype)
    gates = LevelFeatures(sigmas=sigmas, dim=1, intercept=False)
    features = BinFeatures(gates, jnp.asarray(checks.nonempty("edges", edges, 2), dtype))
    shape = (len(sigmas), features.edges.shape[1] + 1)
    given = jnp.zeros(shape, dtype) if weights is None else checks.numbers("weights", weights, 2)
    if given.shape != shape:
        raise checks.refusal("weights.shape", given.shape, str(shape), "one for each bin and level")
    return LinearModel(features, jnp.asarray(given, dtype).reshape(1, -1))
