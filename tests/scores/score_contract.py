"""The contract of every score: shapes, batches, compilation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

SIGMAS = np.array([3.0, 0.5, 0.02])
BATCH = 6


class ScoreContract:
    """`make()` gives the score, `twin(x, sigma)` its value at points [n, dim] in NumPy.

    Levels are SIGMAS. `compiled` says whether the score belongs to JAX.
    """

    dim = 2
    tolerance = 1e-13  # a score is a few products and sums

    def make(self):
        raise NotImplementedError

    def twin(self, x, sigma):
        raise NotImplementedError

    @classmethod
    def setup_class(cls):
        cls.score = cls().make()
        cls.points = np.random.default_rng(1).normal(size=(BATCH, cls.dim)) * 2

    def check(self, values, x, sigma):
        truth = self.twin(x, sigma)
        scale = np.max(np.abs(truth)) + 1
        np.testing.assert_allclose(np.asarray(values) / scale, truth / scale, atol=self.tolerance)

    def test_one_point(self):
        value = self.score(jnp.asarray(self.points[0]), 0.5)
        assert value.shape == (self.dim,)
        assert value.dtype == jnp.float64
        self.check(value[None], self.points[:1], 0.5)

    def test_batches_and_levels_by_vmap(self):
        def both(score, x, sigmas):
            return jax.vmap(lambda s: jax.vmap(lambda y: score(y, s))(x))(sigmas)

        values = eqx.filter_jit(both)(self.score, jnp.asarray(self.points), jnp.asarray(SIGMAS))
        assert values.shape == (len(SIGMAS), BATCH, self.dim)
        assert np.all(np.isfinite(values))
        for value, sigma in zip(values, SIGMAS, strict=True):
            self.check(value, self.points, sigma)

    def test_it_is_a_named_pytree(self):
        assert isinstance(self.score, eqx.Module)
        assert isinstance(self.score.kind, str)
        leaves, structure = jax.tree.flatten(self.score)
        again = jax.tree.unflatten(structure, leaves)
        self.check(again(jnp.asarray(self.points[1]), 0.5)[None], self.points[1:2], 0.5)
