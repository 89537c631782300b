"""Lemma 10 and the equality behind it."""

import numpy as np
import pytest
from reference.gaussian import kl
from reference.precision import exact, mp

from design_space.bounds.initialization import lemma_10, lemma_10_exact


def test_by_hand():
    assert float(lemma_10(3.0, 6.0)) == 0.25
    assert float(lemma_10(0.0, 6.0)) == 0
    assert float(lemma_10_exact(3.0, 6.0, 0.125)) == 0.125


@pytest.mark.parametrize("mean", [0.0, 1.5, -40.0])
@pytest.mark.parametrize("variance", [0.0, 1e-3, 1.0, 30.0])
@pytest.mark.parametrize("noise", [0.5, 25.0, 6400.0])
def test_gaussian_data(mean, variance, noise):
    m, s, v = exact(mean), exact(variance), exact(noise)
    truth = kl(m, s + v, mp.zero, v)
    moment = mean**2 + variance
    bound = float(lemma_10(moment, noise))
    assert float(truth) <= bound * (1 + 1e-15)
    if variance == 0:
        np.testing.assert_allclose(bound, float(truth), rtol=1e-15)
    information = float(mp.log1p(s / v) / 2)  # MI(X; X + sqrt(v) xi)
    found = lemma_10_exact(moment, noise, information)
    # a difference of two terms of the size of the bound
    np.testing.assert_allclose(found, float(truth), rtol=0, atol=4e-16 * bound)


def test_two_points():
    """+-a with equal weights: MI by quadrature over the two-point posterior, KL likewise."""
    a, v = mp.mpf("1.5"), mp.mpf("2")

    def density(x):
        return sum(mp.npdf(x, sign * a, mp.sqrt(v)) for sign in (-1, 1)) / 2

    def term(x):
        p = density(x)
        return p * mp.log(p / mp.npdf(x, 0, mp.sqrt(v)))

    def entropy(x):
        p = density(x)
        return -p * mp.log(p)

    with mp.workdps(20):
        edges = mp.linspace(-14, 14, 15)
        truth = mp.quad(term, edges)
        information = mp.quad(entropy, edges) - mp.log(2 * mp.pi * mp.e * v) / 2
    found = lemma_10_exact(float(a**2), float(v), float(information))
    # the tails beyond 8 standard deviations weigh 1e-16
    np.testing.assert_allclose(found, float(truth), rtol=1e-13)
    assert float(truth) < float(lemma_10(float(a**2), float(v)))


@pytest.mark.parametrize(
    ("moment", "noise", "says"),
    [
        (-1.0, 1.0, "second_moment = -1.0"),
        (1.0, 0.0, "variance = 0.0"),
        (1.0, -2.0, "variance = -2.0"),
        (float("nan"), 1.0, "second_moment = nan"),
        (1.0, float("inf"), "variance = inf"),
    ],
)
def test_refusals(moment, noise, says):
    for call in (lemma_10, lambda *x: lemma_10_exact(*x, 0.0)):
        with pytest.raises(ValueError, match=says):
            call(moment, noise)
