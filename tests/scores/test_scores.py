"""Every kind of score passes the contract; what each refuses."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from score_contract import SIGMAS, ScoreContract

from design_space.scores.affine import AffineScore
from design_space.scores.exact import exact_score
from design_space.scores.function import function_score, host_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

RNG = np.random.default_rng(0)
COVARIANCE = np.array([[0.5, 0.2], [0.2, 1.0]])
MEAN = np.array([1.0, -0.5])
SLOPES, INTERCEPTS = RNG.normal(size=(3, 2, 2)), RNG.normal(size=(3, 2))
GAUSSIAN = Gaussian(MEAN, COVARIANCE)


def gaussian_score(x, sigma):
    return -np.linalg.solve(COVARIANCE + sigma**2 * np.eye(2), (x - MEAN).T).T


def level(sigma):
    return int(np.argmin(np.abs(SIGMAS - sigma)))


class TestExactGaussian(ScoreContract):
    def make(self):
        return exact_score(GAUSSIAN)

    def twin(self, x, sigma):
        return gaussian_score(x, sigma)


class TestExactMixture(ScoreContract):
    dim = 1
    tolerance = 1e-12  # responsibilities of modes 2 / 0.1 standard deviations apart

    def make(self):
        return exact_score(GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], [0.1, 0.1]))

    def twin(self, x, sigma):
        """N(+-1, c) in equal parts: -(x - tanh(x / c)) / c."""
        c = 0.01 + sigma**2
        return -(x - np.tanh(x / c)) / c


class TestScaled(ScoreContract):
    def make(self):
        return scaled_score(exact_score(GAUSSIAN), 1.5)

    def twin(self, x, sigma):
        return 1.5 * gaussian_score(x, sigma)


class TestShifted(ScoreContract):
    def make(self):
        return shifted_score(exact_score(GAUSSIAN), [0.25, -3])

    def twin(self, x, sigma):
        return gaussian_score(x, sigma) + np.array([0.25, -3])


class TestAffineByMatrices(ScoreContract):
    def make(self):
        return AffineScore(SIGMAS, SLOPES, INTERCEPTS)

    def twin(self, x, sigma):
        return x @ SLOPES[level(sigma)].T + INTERCEPTS[level(sigma)]


class TestAffineByDiagonals(ScoreContract):
    def make(self):
        return AffineScore(SIGMAS, SLOPES[:, 0])

    def twin(self, x, sigma):
        return x * SLOPES[level(sigma), 0]


class TestAffineByNumbers(ScoreContract):
    def make(self):
        return AffineScore(SIGMAS, SLOPES[:, 0, 0], INTERCEPTS)

    def twin(self, x, sigma):
        return x * SLOPES[level(sigma), 0, 0] + INTERCEPTS[level(sigma)]


class TestFunction(ScoreContract):
    def make(self):
        return function_score(lambda x, sigma: -jnp.sin(x) / (1 + sigma))

    def twin(self, x, sigma):
        return -np.sin(x) / (1 + sigma)


class TestFunctionOfAModule(ScoreContract):
    def make(self):
        class Model(eqx.Module):
            weight: jax.Array

            def __call__(self, x, sigma):
                return self.weight @ x / (1 + sigma**2)

        return function_score(Model(jnp.asarray(SLOPES[0])))

    def twin(self, x, sigma):
        return x @ SLOPES[0].T / (1 + sigma**2)


class TestHostNumPy(ScoreContract):
    def make(self):
        def batch(x, sigma):
            assert isinstance(x, np.ndarray)
            assert x.dtype == np.float64
            assert isinstance(sigma, float)
            return -np.sin(x) / (1 + sigma)

        return host_score(batch)

    def twin(self, x, sigma):
        return -np.sin(x) / (1 + sigma)


class Tensor:
    """What a PyTorch tensor that requires gradients looks like: NumPy reads it by one road only."""

    def __init__(self, values, *, attached=True, on_host=False):
        self.values, self.attached, self.on_host = values, attached, on_host

    def detach(self):
        return Tensor(self.values, attached=False, on_host=self.on_host)

    def cpu(self):
        return Tensor(self.values, attached=self.attached, on_host=True)

    def numpy(self):
        assert self.on_host
        assert not self.attached
        return self.values

    def __array__(self, *_, **__):
        raise TypeError("can't convert a tensor that requires grad")


class TestHostTensor(ScoreContract):
    tolerance = 1e-7  # it computes in float32, as networks do

    def make(self):
        return host_score(lambda x, sigma: Tensor((-x / (1 + sigma)).astype(np.float32)))

    def twin(self, x, sigma):
        return -x / (1 + sigma)


def test_the_host_function_sees_a_batch_at_once():
    seen = []

    def batch(x, sigma):
        seen.append(x.shape)
        return -x

    score = host_score(batch)
    jax.vmap(lambda x: score(x, 0.5))(jnp.ones((7, 2))).block_until_ready()
    assert seen == [(7, 2)]


def test_an_affine_score_is_unknown_between_its_levels():
    score = AffineScore(SIGMAS, SLOPES, INTERCEPTS)
    x = jnp.zeros(2)  # not even zero times the slope
    for sigma in (0.500001, 1.0, 100.0):
        assert np.all(np.isnan(score(x, sigma)))
        deviation = score.deviation(GAUSSIAN, sigma)
        assert np.all(np.isnan(deviation.slope))
    assert np.all(np.isfinite(score(x, 0.5 * (1 + 1e-12))))  # rounding of a level is no new level


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), r"sigmas = .*: must be an array with entries"),
        (([1.0, 0.0], [1.0, 1.0]), r"sigmas = .*: must be above 0; leave out the level zero"),
        (([1.0, np.nan], [1.0, 1.0]), r"sigmas = .*: must be finite"),
        ((1.0, [1.0]), r"sigmas = 1\.0: must be an array of rank 1, not 0"),
        ((SIGMAS, [1.0, 2.0]), r"len\(slopes\) = 2: must be the dimension of sigmas, 3"),
        ((SIGMAS, 1.0), r"slopes = 1\.0: must be an array of rank 1 or 2 or 3, not 0"),
        ((SIGMAS, SLOPES[:, :1]), r"slopes\.shape\[2\] = 2: must be the dimension of rows, 1"),
        ((SIGMAS, SLOPES * np.inf), r"slopes = .*: must be finite"),
        ((SIGMAS, SLOPES, [1.0, 2.0]), r"intercepts = .*: must be an array of rank 2, not 1"),
        ((SIGMAS, SLOPES, INTERCEPTS[:2]), r"len\(intercepts\) = 2: must be the dimension of sig"),
        (
            (SIGMAS, SLOPES, INTERCEPTS[:, :1]),
            r"intercepts\.shape\[1\] = 1: must be the dimension of slopes, 2; make them agree",
        ),
    ],
)
def test_affine_scores_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        AffineScore(*arguments)


def test_perturbations_refuse():
    base = exact_score(GAUSSIAN)
    for factor, message in (
        ([1.0], r"factor = \[1\.0\]: must be an array of rank 0, not 1"),
        ("2", r"factor = '2': must be a number; give a number, without quotes"),
        (np.inf, r"factor = inf: must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            scaled_score(base, factor)
    for shift, message in (
        (1.0, r"shift = 1\.0: must be an array of rank 1, not 0"),
        ([np.nan, 1.0], r"shift = \[nan, 1\.0\]: must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            shifted_score(base, shift)


def test_a_shift_of_another_dimension_is_not_broadcast():
    score = shifted_score(exact_score(GAUSSIAN), [1.0])
    message = r"len\(shift\) = 1: must be the dimension of the data, 2; make them agree"
    with pytest.raises(ValueError, match=message):
        score(jnp.zeros(2), 1.0)
    with pytest.raises(ValueError, match=message):
        score.deviation(GAUSSIAN, 1.0)


SHAPE = r"score\(x, sigma\)\.shape = \(1,\): must be that of x, \(2,\); write the function for one"
HOST_SHAPE = r"score\(x, sigma\)\.shape = \(1, 1\): must be that of x, \(1, 2\); return one row per"


def test_functions_of_another_shape_are_refused():
    score = function_score(lambda x, sigma: x[:1])
    with pytest.raises(ValueError, match=SHAPE):
        score(jnp.zeros(2), 1.0)
    with pytest.raises(ValueError, match=SHAPE):
        jax.vmap(lambda x: score(x, 1.0))(jnp.zeros((3, 2)))
    with pytest.raises(ValueError, match=HOST_SHAPE):
        host_score(lambda x, sigma: x[:, :1])(jnp.zeros(2), 1.0)
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"must be that of x, \(1, 2\)"):
        jax.jit(host_score(lambda x, sigma: x[:, :1]))(jnp.zeros(2), 1.0)
