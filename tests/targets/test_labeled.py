"""Mixtures with classes: posteriors against mpmath, laws of classes, draws, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp
from scipy import stats

import design_space as ds
from design_space.targets.components import Components
from design_space.targets.mixture import GaussianMixture

WEIGHTS, LABELS = [0.2, 0.5, 0.3], [0, 1, 0]
MEANS = np.array([[-2.0, 0.5], [0.0, 0.0], [3.0, 1.0]])
ROOT = np.array([[1.0, 0.3], [-0.2, 0.7]])
COVARIANCES = np.array([0.25 * np.eye(2), ROOT @ ROOT.T, np.diag([0.04, 1.0])])
LAW = ds.LabeledMixture(GaussianMixture(WEIGHTS, MEANS, COVARIANCES), LABELS)
LINE = ds.LabeledMixture(
    GaussianMixture.isotropic([0.3, 0.5, 0.2], [[-1.0], [1.0], [2.0]], [0.5, 0.1, 0.3]), [1, 0, 1]
)
POINTS = np.array([[0.0, 0.0], [-2.0, 0.4], [30.0, -40.0], [2.9, 1.5]])


def joint(x, variance):
    """Densities of the components times their weights, in mpmath."""
    found = []
    for weight, mean, covariance in zip(WEIGHTS, MEANS, COVARIANCES, strict=True):
        rows = [[exact(covariance[i, j]) for j in range(2)] for i in range(2)]
        c = mp.matrix(rows) + exact(variance) * mp.eye(2)
        z = mp.matrix([exact(x[i]) - exact(mean[i]) for i in range(2)])
        power = (z.T * mp.inverse(c) * z)[0] / 2
        found.append(exact(weight) * mp.exp(-power) / (2 * mp.pi * mp.sqrt(mp.det(c))))
    return found


def posterior(x, variance):
    each = joint(x, variance)
    return [(each[0] + each[2]) / sum(each), each[1] / sum(each)]


@pytest.mark.parametrize("variance", [0.0, 0.7])
def test_posterior_in_the_bulk_and_far_in_the_tails(variance):
    for x in POINTS:
        found = LAW.log_posterior(x, variance)
        truth = [mp.log(p) for p in posterior(x, variance)]
        scale = 1 + float(max(abs(mp.log(p)) for p in joint(x, variance)))
        for value, expected in zip(found, truth, strict=True):
            # log densities of that size are rounded before they are subtracted
            assert abs(value - float(expected)) <= 20 * 2.3e-16 * scale


def test_a_sure_class_has_no_rounding():
    law = ds.LabeledMixture(
        GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], [0.1, 0.1]), [0, 1]
    )
    truth = -np.exp(-200)  # -log(1 + exp(-2 x/0.01)) at x = 1
    found = float(law.log_posterior(jnp.array([1.0]), 0.0)[1])
    assert found == pytest.approx(truth, rel=1e-12)
    slope = float(law.log_posterior_gradient(jnp.array([1.0]), 0.0, 1)[0])
    assert slope == pytest.approx(200 * np.exp(-200), rel=1e-12)


@pytest.mark.parametrize("label", [0, 1])
def test_gradient_of_the_posterior_is_that_of_differences(label):
    step = exact(1e-15)  # squared it is below rounding; 60 digits bear the difference
    for x in POINTS:
        found = LAW.log_posterior_gradient(x, 0.3, label)
        for i in range(2):
            sides = []
            for sign in (1, -1):
                at = [exact(c) + (sign * step if j == i else 0) for j, c in enumerate(x)]
                sides.append(mp.log(posterior(at, 0.3)[label]))
            truth = float((sides[0] - sides[1]) / (2 * step))
            assert found[i] == pytest.approx(truth, rel=1e-11, abs=1e-13)


def test_laws_of_the_classes_make_the_whole():
    np.testing.assert_allclose(LAW.prior, [0.5, 0.5], rtol=1e-14)
    np.testing.assert_allclose(LAW.given(0).weights, [0.4, 0.6], rtol=1e-14)
    np.testing.assert_allclose(LAW.given(1).weights, [1.0], rtol=1e-14)
    np.testing.assert_array_equal(LAW.given(0).parts.means, MEANS[[0, 2]])
    for x in POINTS[:2]:
        each = [LAW.given(c).log_density(x, 0.1) for c in range(LAW.classes)]
        whole = jnp.log(jnp.exp(jnp.stack(each)) @ LAW.prior)
        assert whole == pytest.approx(float(LAW.mixture.log_density(x, 0.1)), rel=1e-13)
    two = LAW.others(1)
    assert two.log_density(POINTS[0], 0.1) == LAW.given(0).log_density(POINTS[0], 0.1)


def test_labels_of_draws():
    points, labels = LINE.sample(jax.random.key(0), 4000, 0.01)
    np.testing.assert_array_equal(points, LINE.mixture.sample(jax.random.key(0), 4000, 0.01))
    labels = np.asarray(labels)
    assert abs(np.sum(labels == 0) - 2000) < 5 * np.sqrt(1000)
    own = np.asarray(points)[labels == 0, 0]
    assert stats.kstest(own, stats.norm(1.0, np.sqrt(0.02)).cdf).pvalue > 1e-6


def test_one_class_and_batches():
    one = ds.LabeledMixture(LINE.mixture, [0, 0, 0])
    assert one.classes == 1
    assert one.log_posterior(jnp.array([0.3]), 0.1) == 0
    assert one.log_posterior_gradient(jnp.array([0.3]), 0.1, 0) == 0
    x = jnp.linspace(-3, 3, 5)[:, None]
    many = jax.jit(jax.vmap(lambda y: LINE.log_posterior(y, 0.1)))(x)
    assert many.shape == (5, 2)
    np.testing.assert_allclose(jnp.exp(many).sum(axis=1), 1, rtol=1e-14)


@pytest.mark.parametrize(
    ("labels", "fragments"),
    [
        ([0, 1], ["len(labels) = 2", "3, one label for each component"]),
        ([0, 1, 0.5], ["labels", "whole numbers", "number the classes"]),
        ([0, -1, 0], ["labels", "at least 0"]),
        ([0, 2, 0], ["labels = [0, 2, 0]", "none has 1", "without gaps"]),
        ([1, 1, 1], ["none has 0"]),
        ("abc", ["labels", "array of numbers"]),
        ([], ["labels"]),
        ([0, np.nan, 1], ["labels", "finite"]),
    ],
)
def test_labels_that_are_refused(labels, fragments):
    with pytest.raises(ValueError) as caught:
        ds.LabeledMixture(LAW.mixture, labels)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_other_refusals():
    weightless = GaussianMixture.from_components(
        Components(jnp.log(jnp.array([1.0, 0.0])), jnp.zeros((2, 1)), jnp.ones((2, 1)))
    )
    with pytest.raises(ValueError, match="class 1 has none"):
        ds.LabeledMixture(weightless, [0, 1])
    for label in (2, -1, 0.0, True):
        with pytest.raises(ValueError, match=r"label = .* (number of classes|whole number)"):
            LAW.given(label)
    with pytest.raises(ValueError, match="two classes or more"):
        ds.LabeledMixture(LINE.mixture, [0, 0, 0]).others(0)
    with pytest.raises(ValueError, match="one point"):
        LAW.log_posterior(jnp.zeros((4, 2)), 0.1)
    with pytest.raises(ValueError, match="variance"):
        LAW.log_posterior(jnp.zeros(2), -1.0)
