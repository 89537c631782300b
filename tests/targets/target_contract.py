"""The contract of every target: a subclass supplies the target and its components as plain arrays.

The twin is a sum over components in mpmath and NumPy with full covariance matrices: no eigenbasis,
no log-sum-exp, no posterior moments.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp
from scipy import stats

BATCH = 1000  # points of every compiled evaluation
DRAWS = 4000
SURE = 5.2  # standard errors: exceeded once in 5e6 times


@eqx.filter_jit
def evaluate(target, points, variance):
    """All pointwise functions of a target at BATCH points."""

    def at(x):
        return {
            "log_density": target.log_density(x, variance),
            "score": target.score(x, variance),
            "hessian": target.hessian(x, variance),
            "denoiser": target.denoiser(x, variance),
            "posterior_covariance": target.posterior_covariance(x, variance),
        }

    return jax.vmap(at)(points)


@eqx.filter_jit
def draw(target, key, variance):
    """DRAWS draws from p_v."""
    return target.sample(key, DRAWS, variance)


def evaluate_few(target, points, variance):
    padded = np.resize(np.asarray(points), (BATCH, target.dim))
    found = evaluate(target, jnp.asarray(padded), jnp.asarray(variance))
    return {name: np.asarray(values)[: len(points)] for name, values in found.items()}


def check_means(values, truth, slack=0.0):
    """Asserts that the means over the first axis lie within SURE standard errors of the truth."""
    values = np.asarray(values)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert np.all(np.abs(values.mean(axis=0) - truth) <= SURE * error + slack)


class Twin:
    """sum_k w_k N(m_k, S_k) with dense matrices, in mpmath."""

    def __init__(self, weights, means, covariances):
        self.weights, self.means = np.asarray(weights, float), np.asarray(means, float)
        self.covariances = np.asarray(covariances, float)

    def log_density(self, v):
        """log p_v as a function of a list of mpf."""
        dim = self.means.shape[1]
        parts = []
        for w, m, s in zip(self.weights, self.means, self.covariances, strict=True):
            spread = mp.matrix([[exact(a) for a in row] for row in s]) + exact(v) * mp.eye(dim)
            scale = exact(w) / mp.sqrt(mp.det(2 * mp.pi * spread))
            parts.append((scale, mp.matrix([exact(a) for a in m]), mp.inverse(spread)))

        def value(x):
            gaps = ((scale, mp.matrix(x) - m, inverse) for scale, m, inverse in parts)
            return mp.log(mp.fsum(c * mp.exp(-(g.T * p * g)[0, 0] / 2) for c, g, p in gaps))

        return value

    def derivatives(self, x, v, step):
        """log p, its gradient and Hessian at x by central differences in mpmath."""
        f, x = self.log_density(v), [exact(a) for a in x]
        d, e = len(x), exact(step)

        def at(*moves):
            y = list(x)
            for i, move in moves:
                y[i] += move * e
            return f(y)

        gradient = [(at((i, 1)) - at((i, -1))) / (2 * e) for i in range(d)]
        hessian = [
            [
                (
                    at((i, 1), (j, 1))
                    - at((i, 1), (j, -1))
                    - at((i, -1), (j, 1))
                    + at((i, -1), (j, -1))
                )
                / (4 * e * e)
                for j in range(d)
            ]
            for i in range(d)
        ]
        return float(f(x)), np.array(gradient, float), np.array(hessian, float)

    def moments(self):
        """Mean and covariance."""
        mean = self.weights @ self.means
        raw = np.einsum("k,kij->ij", self.weights, self.covariances)
        raw += np.einsum("k,ki,kj->ij", self.weights, self.means, self.means)
        return mean, raw - np.outer(mean, mean)


class TargetContract:
    """`make()` gives the target, `components()` its weights, means and covariances.

    `levels` are noise variances at which there is a density; `free` says whether the integrals
    come without a random key.
    """

    levels = (0.04, 3.0)
    free = True
    dim = 1

    def make(self):
        raise NotImplementedError

    def components(self):
        raise NotImplementedError

    @classmethod
    def setup_class(cls):
        cls.target, cls.twin = cls().make(), Twin(*cls().components())
        cls.scale = float(np.sqrt(np.max(np.abs(cls.twin.moments()[1]))) + 1e-3)

    def points(self, v):
        """Three points where the density is not small, and one in the tail."""
        rng = np.random.default_rng(5)
        near = self.twin.means[rng.integers(len(self.twin.means), size=3)]
        near = near + np.sqrt(v) * rng.normal(size=near.shape)
        return np.concatenate([near, near[:1] + 6 * (self.scale + np.sqrt(v))])

    def test_dimension(self):
        assert self.target.dim == self.dim == self.twin.means.shape[1]

    def test_pointwise_functions_are_those_of_the_dense_density(self):
        for v in self.levels:
            points = self.points(v)
            found = evaluate_few(self.target, points, v)
            for i, x in enumerate(points):
                # a step of 1e-15 leaves errors of 1e-28 in sixty-digit differences
                log_p, score, hessian = self.twin.derivatives(x, v, 1e-15 * np.sqrt(v))
                posterior = v * np.eye(self.dim) + v**2 * hessian
                # rounding of x - m beside sqrt(v + l) is magnified twice in the Hessian
                reach = 1e-13 * (1 + np.max(np.abs(self.twin.means)) / np.sqrt(v))
                for name, truth, size in (
                    ("log_density", log_p, 50 + abs(log_p)),
                    ("score", score, np.max(np.abs(score)) + 1 / np.sqrt(v)),
                    ("hessian", hessian, np.max(np.abs(hessian)) + 1 / v),
                    ("denoiser", x + v * score, self.scale),
                    ("posterior_covariance", posterior, self.scale**2 + v),
                ):
                    np.testing.assert_allclose(
                        found[name][i], truth, rtol=0, atol=reach * size, err_msg=name
                    )

    def test_all_is_finite_three_hundred_standard_deviations_away(self):
        v = self.levels[0]
        away = np.ones(self.dim) * 300 * (self.scale + np.sqrt(v))
        far = np.stack([self.twin.means[0] + away, self.twin.means[0] - away])
        found = evaluate_few(self.target, far, v)
        for name, values in found.items():
            assert np.all(np.isfinite(values)), name
        assert found["score"][0] @ away < 0 < found["score"][1] @ away  # it points back

    def test_moments(self):
        mean, covariance = self.twin.moments()
        size = 1 + np.max(np.abs(self.twin.means)) ** 2 + np.max(np.abs(covariance))
        np.testing.assert_allclose(self.target.mean(), mean, atol=1e-14 * size)
        np.testing.assert_allclose(self.target.covariance(), covariance, atol=1e-13 * size)
        second = np.trace(covariance) + mean @ mean
        np.testing.assert_allclose(self.target.second_moment(), second, rtol=1e-13)

    def test_samples_have_the_law(self):
        mean, covariance = self.twin.moments()
        keys = jax.random.split(jax.random.key(11))
        for key, v in zip(keys, (0.0, self.levels[1]), strict=True):
            draws = np.asarray(draw(self.target, key, jnp.asarray(v)))
            assert draws.shape == (DRAWS, self.dim)
            centered, slack = draws - mean, 1e-12 * self.scale**2
            noisy = covariance + v * np.eye(self.dim)
            check_means(centered, 0.0, slack)
            check_means(centered[:, :, None] * centered[:, None, :], noisy, slack)

    def test_the_law_of_samples_in_a_direction(self):
        direction = np.random.default_rng(2).normal(size=self.dim)
        direction /= np.linalg.norm(direction)
        v = self.levels[0]
        draws = np.asarray(draw(self.target, jax.random.key(3), jnp.asarray(v))) @ direction
        centers = self.twin.means @ direction
        stds = np.sqrt(np.einsum("kij,i,j->k", self.twin.covariances, direction, direction) + v)
        parts = [
            w * stats.norm.cdf(draws, m, s)
            for w, m, s in zip(self.twin.weights, centers, stds, strict=True)
        ]
        assert stats.kstest(np.sum(parts, axis=0), "uniform").pvalue > 1e-4

    def test_samples_are_reproducible_and_differ_between_keys(self):
        one, same, other = (
            np.asarray(draw(self.target, jax.random.key(k), jnp.asarray(1.0))) for k in (1, 1, 2)
        )
        np.testing.assert_array_equal(one, same)
        assert np.all(one != other)

    def integrals(self, v, key=None):
        options = {} if key is None else {"key": key, "samples": 512}
        names = ("entropy", "mmse", "fisher_information", "fisher_information_slope")
        return [getattr(self.target, name)(v, **options) for name in names]

    def test_integrals_belong_together(self):
        if not self.free:
            return
        v = self.levels[0]
        step = 1e-4 * v
        entropy, mmse, information, slope = self.integrals(v)
        h_up, h_down = self.target.entropy(v + step), self.target.entropy(v - step)
        up, down = (self.target.fisher_information(v + sign * step) for sign in (1, -1))
        for estimate in (entropy, mmse, information, slope):
            assert estimate.value.shape == estimate.error.shape == ()
            assert estimate.method in ("closed form", "quadrature")
            assert 0 <= float(estimate.error) < 1e-9 * (1 + abs(float(estimate.value)))
        identity = self.dim / v - mmse.value / v**2
        # stated errors, and the rounding of d/v
        bound = information.error + mmse.error / v**2 + 1e-14 * self.dim / v
        assert abs(float(information.value - identity)) <= bound
        assert float(slope.value) < 0
        # central differences: relative error 1e-8 from the step, 1e-11 from rounding
        difference = (up.value - down.value) / (2 * step)
        assert abs(float(difference / slope.value - 1)) < 1e-6
        bruijn = (h_up.value - h_down.value) / (2 * step)
        assert abs(float(bruijn / (information.value / 2) - 1)) < 1e-6

    def test_integrals_are_means_over_the_law(self):
        """-E log p, E tr Cov, E|score|^2 and -E|Hess|^2 over draws."""
        v = self.levels[1]
        draws = draw(self.target, jax.random.key(8), jnp.asarray(v))[:BATCH]
        at = evaluate(self.target, draws, jnp.asarray(v))
        samples = (
            -at["log_density"],
            np.trace(at["posterior_covariance"], axis1=1, axis2=2),
            np.sum(np.asarray(at["score"]) ** 2, axis=1),
            -np.sum(np.asarray(at["hessian"]) ** 2, axis=(1, 2)),
        )
        estimates = self.integrals(v, None if self.free else jax.random.key(4))
        for values, estimate in zip(samples, estimates, strict=True):
            slack = 2 * float(estimate.error) + 1e-13 * abs(float(estimate.value))
            check_means(values, float(estimate.value), slack)

    def test_a_key_is_asked_for_where_it_is_needed(self):
        if not self.free:
            one, same = (self.target.mmse(3.0, key=jax.random.key(4), samples=512) for _ in "ab")
            assert one.method == "monte carlo"
            assert float(one.value) == float(same.value)
            with pytest.raises(ValueError, match=r"key = None: must be a random key.*key\(0\)"):
                self.target.mmse(1.0)
