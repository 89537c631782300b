"""Guidance against NumPy: strengths, intervals, rescaling, classifiers, closed forms, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp
from score_contract import SIGMAS, ScoreContract

import design_space as ds
from design_space.scores.base import deviations
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture
from design_space.targets.reduction import reduce_to_line

WEIGHTS = np.array([0.2, 0.5, 0.3])
MEANS = np.array([[-2.0, 0.5], [0.0, 0.0], [3.0, 1.0]])
STDS = np.array([0.3, 1.0, 0.5])
LABELED = ds.LabeledMixture(GaussianMixture.isotropic(WEIGHTS, MEANS, STDS), [0, 1, 0])
CLASS = np.array([True, False, True])
POINTS = np.random.default_rng(1).normal(size=(6, 2)) * 2


def mixture_score(x, sigma, chosen):
    """Score of the chosen components, in linear space."""
    c = STDS[chosen] ** 2 + sigma**2
    z = x[:, None, :] - MEANS[chosen]
    mass = WEIGHTS[chosen] / c * np.exp(-0.5 * np.sum(z**2, axis=2) / c)
    return np.einsum("nk,nki->ni", mass, -z / c[:, None]) / mass.sum(axis=1, keepdims=True)


def parts(x, sigma):
    return mixture_score(x, sigma, CLASS), mixture_score(x, sigma, np.full(3, True))


class TestGuided(ScoreContract):
    tolerance = 1e-12

    def make(self):
        return ds.guided_exact(LABELED, 0, 2.5)

    def twin(self, x, sigma):
        own, other = parts(x, sigma)
        return other + 2.5 * (own - other)


class TestInsideAnInterval(ScoreContract):
    """Closed above, open below: the three levels are outside, at the upper and the lower end."""

    tolerance = 1e-12

    def make(self):
        return ds.guided_exact(LABELED, 0, 2.5, interval=(SIGMAS[2], SIGMAS[1]))

    def twin(self, x, sigma):
        own, other = parts(x, sigma)
        return other + (2.5 if sigma == SIGMAS[1] else 1.0) * (own - other)


class TestRescaled(ScoreContract):
    """The published lines: factor = std(pos)/std(cfg), out = r factor cfg + (1 - r) cfg, on v."""

    tolerance = 1e-11
    share = 0.7

    def make(self):
        return ds.guided_exact(LABELED, 0, 3.0, rescale=self.share)

    def twin(self, x, sigma):
        alpha, noise = 1 / np.sqrt(1 + sigma**2), sigma / np.sqrt(1 + sigma**2)
        scores = dict(zip(("pos", "neg"), parts(x, sigma), strict=True))
        v = {name: alpha * (-sigma * s) - noise * (x + sigma**2 * s) for name, s in scores.items()}
        cfg = v["neg"] + 3.0 * (v["pos"] - v["neg"])
        # beside -v, every vector has mean zero over the coordinates, and its deviation is the norm
        spread = {
            name: np.std(np.concatenate([a, -a], axis=1), axis=1, keepdims=True)
            for name, a in (("pos", v["pos"]), ("cfg", cfg))
        }
        rescaled = cfg * (spread["pos"] / spread["cfg"])
        final = self.share * rescaled + (1 - self.share) * cfg
        data = alpha * (alpha * x) - noise * final
        return (data - x) / sigma**2


class TestClassifier(ScoreContract):
    tolerance = 1e-12

    def make(self):
        return ds.classifier_guided(LABELED, 0, 2.5)

    def twin(self, x, sigma):
        own, other = parts(x, sigma)
        return other + 2.5 * (own - other)


class TestDriftForm(ScoreContract):
    """From the conditional score, strength 1 + w."""

    tolerance = 1e-12

    def make(self):
        base = ds.exact_score(LABELED.given(0))
        return ds.classifier_guided(LABELED, 0, 1.5, base)

    def twin(self, x, sigma):
        own, other = parts(x, sigma)
        return other + 2.5 * (own - other)


def test_strength_one_is_the_conditional_score_without_rounding():
    own = ds.exact_score(LABELED.given(0))
    for rescale in (0.0, 0.5):
        found = ds.guided_exact(LABELED, 0, 1.0, rescale)
        for x in jnp.asarray(POINTS[:2]):
            np.testing.assert_allclose(found(x, 0.3), own(x, 0.3), rtol=1e-13)
    np.testing.assert_array_equal(ds.guided_exact(LABELED, 0, 1.0)(x, 0.3), own(x, 0.3))


def test_rescaling_on_the_line_keeps_the_sign_only():
    line = ds.LabeledMixture(GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], 0.5), [0, 1])
    full, plain = ds.guided_exact(line, 1, 3.0, rescale=1.0), ds.guided_exact(line, 1, 3.0)
    own = ds.exact_score(line.given(1))
    sigma = 0.6
    for y in (-1.7, -0.2, 0.4, 1.9):
        x = np.array([y])
        v = [
            -(sigma * np.asarray(s(jnp.asarray(x), sigma)) * (1 + sigma**2) + sigma * x)
            / np.sqrt(1 + sigma**2)
            for s in (full, plain, own)
        ]
        assert abs(v[0]) == pytest.approx(abs(v[2]), rel=1e-12)
        assert np.sign(v[0]) == np.sign(v[1])


def test_no_prediction_to_rescale_is_no_division_by_zero():
    zero_v = ds.function_score(lambda x, sigma: -x / (1 + sigma**2))  # of N(0, 1): v = 0
    found = ds.GuidedScore(zero_v, zero_v, 2.0, 0.5)(jnp.array([1.0, -2.0]), 0.5)
    np.testing.assert_allclose(found, np.array([-1.0, 2.0]) / 1.25, rtol=1e-14)


def test_classifier_climbs_where_both_scores_agree():
    """Where the class is sure the difference of the scores is rounding, the climb is not."""
    line = ds.LabeledMixture(GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], 0.1), [0, 1])
    x = jnp.array([1.3])
    base = ds.function_score(lambda x, sigma: jnp.zeros_like(x))
    found = ds.classifier_guided(line, 1, 1.0, base)(x, 0.1)[0]
    odds = mp.exp(-2 * exact(1.3) / (exact(0.1) ** 2 * 2))
    assert found == pytest.approx(float(2 / (2 * exact(0.1) ** 2) * odds / (1 + odds)), rel=1e-12)


NARROW, WIDE = Gaussian([0.5, -0.2], 0.04 * np.eye(2)), Gaussian([0.1, 0.0], [[1.0, 0.3], [0.3, 2]])
LEVELS = jnp.array([4.0, 0.7, 0.05])


@pytest.mark.parametrize("target", [NARROW, WIDE])
@pytest.mark.parametrize("interval", [None, (0.1, 1.0)])
def test_affine_scores_stay_affine(target, interval):
    score = ds.GuidedScore(ds.exact_score(NARROW), ds.exact_score(WIDE), 2.5, interval=interval)
    found = deviations(target, score, LEVELS)
    assert found is not None
    exact_one, basis = ds.exact_score(target), target.basis
    basis = np.eye(2) if basis is None else np.asarray(basis)
    for i, sigma in enumerate(LEVELS):
        slope = np.asarray(found.slope[i])
        slope = np.diag(slope) if slope.ndim == 1 else slope
        for x in jnp.asarray(POINTS[:3]):
            u = basis.T @ np.asarray(x - target.mean_vector)
            truth = basis.T @ np.asarray(score(x, sigma) - exact_one(x, sigma))
            scale = float(jnp.max(jnp.abs(score(x, sigma)))) + 1
            value = slope @ u + np.asarray(found.intercept[i])
            np.testing.assert_allclose(value / scale, truth / scale, atol=1e-13)


def test_what_is_not_affine_and_what_is_not_split():
    own, other = ds.exact_score(NARROW), ds.exact_score(WIDE)
    assert ds.GuidedScore(own, other, 2.0, rescale=0.1).deviation(NARROW, 1.0) is None
    mixed = ds.GuidedScore(own, ds.exact_score(LABELED.mixture), 2.0)
    assert mixed.deviation(NARROW, 1.0) is None
    assert ds.GuidedScore(own, other, 1.0, rescale=0.1).deviation(NARROW, 1.0) is not None
    target = GaussianMixture.isotropic([0.3, 0.7], [[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]], 0.3)
    reduction = reduce_to_line(target.components())
    own = ds.exact_score(target)
    other = ds.exact_score(GaussianMixture.isotropic([0.5, 0.5], [[1.0, 0, 0], [0, 0, 1]], 0.3))
    assert ds.GuidedScore(own, other, 2.0).split(target, reduction) is None
    assert ds.GuidedScore(own, other, 1.0).split(target, reduction) is not None


def test_a_scaled_score_in_place_of_the_unconditional_one_splits():
    target = GaussianMixture.isotropic([0.3, 0.7], [[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]], 0.3)
    own = ds.exact_score(target)
    score, once = ds.GuidedScore(own, ds.scaled_score(own, 0.8), 2.0), ds.scaled_score(own, 1.2)
    reduction = reduce_to_line(target.components())
    found, truth = score.split(target, reduction), once.split(target, reduction)
    for a, b, size in ((found.line, truth.line, 1), (found.complement, truth.complement, 2)):
        x = jnp.full(size, 0.3)
        np.testing.assert_allclose(a(x, 0.2), b(x, 0.2), rtol=1e-13)
    whole = [ds.evaluate(target, ds.edm(5), s) for s in (score, once)]
    for name in ("score", "marginal_kl"):
        value, expected = (float(getattr(w, name).value) for w in whole)
        assert value == pytest.approx(expected, rel=1e-9)


def test_exactness():
    law, one = LABELED.mixture, LABELED.given(0)
    cases = {
        (1.0, 0.0, None): (False, True),
        (1.0, 0.5, (0.1, 1.0)): (False, True),
        (0.0, 0.0, None): (True, False),
        (0.0, 0.5, None): (False, False),
        (0.0, 0.0, (0.1, 1.0)): (False, False),
        (2.0, 0.0, None): (False, False),
    }
    for given, expected in cases.items():
        score = ds.guided_exact(LABELED, 0, *given)
        assert (score.is_exact_for(law), score.is_exact_for(one)) == expected, given
    both = ds.exact_score(one)
    assert ds.GuidedScore(both, both, 5.0, 0.3).is_exact_for(one)
    traced = []
    jax.jit(lambda w: traced.append(ds.guided_exact(LABELED, 0, w).is_exact_for(one)) or w)(1.0)
    assert traced == [False]


@pytest.mark.parametrize(
    ("given", "fragments"),
    [
        ({"strength": np.nan}, ["strength = nan", "finite"]),
        ({"strength": "3"}, ["strength = '3'", "a number"]),
        ({"rescale": -0.1}, ["rescale = -0.1", "at least 0"]),
        ({"rescale": 1.1}, ["rescale = 1.1", "from 0 to 1"]),
        ({"interval": 0.5}, ["interval = 0.5", "two noise levels"]),
        ({"interval": (1.0,)}, ["interval", "two noise levels"]),
        ({"interval": (1.0, np.nan)}, ["interval", "two noise levels"]),
        ({"interval": (1.0, 0.5)}, ["interval[0] = 1.0", "below interval[1] = 0.5"]),
        ({"interval": (-1.0, 0.5)}, ["interval[0] = -1.0", "at least 0"]),
        ({"conditional": lambda x, sigma: x}, ["conditional", "ds.function_score"]),
        ({"unconditional": None}, ["unconditional = None", "a score"]),
    ],
)
def test_what_is_refused(given, fragments):
    own = ds.exact_score(NARROW)
    fine = {"conditional": own, "unconditional": own, "strength": 2.0}
    with pytest.raises(ValueError) as caught:
        ds.GuidedScore(**(fine | given))
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_classes_that_are_refused():
    for make in (ds.classifier_guided, ds.guided_exact):
        with pytest.raises(ValueError, match="LabeledMixture"):
            make(LABELED.mixture, 0, 2.0)
        with pytest.raises(ValueError, match="below 2"):
            make(LABELED, 2, 2.0)
