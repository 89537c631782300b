"""Every kind of target passes the contract."""

import numpy as np
from target_contract import TargetContract

from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

RNG = np.random.default_rng(0)
ROOTS = RNG.normal(size=(3, 3, 3))
FULL = ROOTS @ np.swapaxes(ROOTS, 1, 2)
SINGULAR = ROOTS[0][:, :2] @ ROOTS[0][:, :2].T
MEANS = RNG.normal(size=(3, 3))
LINE = np.array([-2.0, 0.5, 1.0])[:, None] * RNG.normal(size=5) + RNG.normal(size=5)
WEIGHTS = np.array([0.2, 0.5, 0.3])
STDS = np.array([1e-4, 0.1, 10.0])
POINTS = RNG.normal(size=(12, 2))


class TestFullGaussian(TargetContract):
    dim = 3

    def make(self):
        return Gaussian(MEANS[0], FULL[0])

    def components(self):
        return [1.0], MEANS[:1], FULL[:1]


class TestDiagonalGaussian(TargetContract):
    dim = 3

    def make(self):
        return Gaussian.diagonal(MEANS[0], [0.01, 1.0, 9.0])

    def components(self):
        return [1.0], MEANS[:1], [np.diag([0.01, 1.0, 9.0])]


class TestIsotropicGaussian(TargetContract):
    dim = 2

    def make(self):
        return Gaussian.isotropic(2, 0.5, mean=[1.0, -1.0])

    def components(self):
        return [1.0], [[1.0, -1.0]], [0.25 * np.eye(2)]


class TestSingularGaussian(TargetContract):
    dim = 3

    def make(self):
        return Gaussian(MEANS[0], SINGULAR)

    def components(self):
        return [1.0], MEANS[:1], [SINGULAR]


class TestDirac(TargetContract):
    dim = 2

    def make(self):
        return Gaussian.dirac([2.0, -1.0])

    def components(self):
        return [1.0], [[2.0, -1.0]], [np.zeros((2, 2))]

    def test_integrals_are_those_of_pure_noise(self):
        entropy, mmse, information, slope = self.integrals(0.25)
        assert float(mmse.value) == float(mmse.error) == 0.0
        assert float(information.value) == 8.0
        assert float(slope.value) == -32.0
        np.testing.assert_allclose(entropy.value, np.log(2 * np.pi * np.e * 0.25), rtol=1e-15)


class TestMixtureOfScales(TargetContract):
    levels = (1e-6, 0.3)

    def make(self):
        return GaussianMixture.isotropic(WEIGHTS, [[-1.0], [0.0], [1.0]], STDS)

    def components(self):
        return WEIGHTS, [[-1.0], [0.0], [1.0]], STDS[:, None, None] ** 2


class TestMixtureWithFullCovariances(TargetContract):
    dim = 3
    free = False

    def make(self):
        return GaussianMixture(WEIGHTS, MEANS, FULL)

    def components(self):
        return WEIGHTS, MEANS, FULL


class TestMixtureOnALine(TargetContract):
    dim = 5

    def make(self):
        return GaussianMixture.isotropic(WEIGHTS, LINE, 0.3)

    def components(self):
        return WEIGHTS, LINE, [0.09 * np.eye(5)] * 3


class TestEmpiricalOnALine(TargetContract):
    def make(self):
        return Empirical(POINTS[:, :1])

    def components(self):
        return np.full(12, 1 / 12), POINTS[:, :1], np.zeros((12, 1, 1))


class TestEmpiricalInThePlane(TargetContract):
    dim = 2
    free = False

    def make(self):
        return Empirical(POINTS)

    def components(self):
        return np.full(12, 1 / 12), POINTS, np.zeros((12, 2, 2))
