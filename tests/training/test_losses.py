"""Minibatches and the self-perceptual loss, against plain loops in NumPy."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_cases import data as denoising

import design_space as ds
from design_space.scores.model import AbstractModel, Factor
from design_space.scores.perceptron import perceptron
from design_space.scores.preconditioned import preconditioned
from design_space.training.descent import GradientDescent
from design_space.training.ensemble import member
from design_space.training.losses import DENOISING, Minibatches, draw_batches
from design_space.training.objective import DenoisingData, weighted_squares
from design_space.training.perceptual import self_perceptual
from design_space.training.train import train, train_ensemble

KEY = jax.random.key(2)
MIXTURE = ds.GaussianMixture.isotropic([0.2, 0.3, 0.5], [[-1.0], [0.0], [2.0]], 0.2)
LABELED = ds.LabeledMixture(MIXTURE, [0, 1, 0])
ZERO = jnp.zeros((), jnp.int32)


def network(seed=0, classes=0, dim=2, width=5):
    key = jax.random.fold_in(KEY, seed)
    return preconditioned(perceptron(key, dim, width, classes=classes, dtype="float64"), 1.0)


def hidden(model, x, sigma, layer, label=None):
    """The hidden layers of a network of silu neurons, in NumPy."""
    value = np.append(x / np.sqrt(1 + sigma**2), np.log(sigma) / 4)
    if label is not None:
        value = np.append(value, np.eye(2)[label] if label >= 0 else np.zeros(2))
    found = []
    for matrix in model.weights()[:-1]:
        value = np.asarray(matrix) @ np.append(value, 1)
        value = value / (1 + np.exp(-value))
        found.append(value)
    return found[layer]


def by_loop(model, judge, data, others, layer=-1, c=0.0, what="both", size=np.square):
    """The terms of the loss as the algorithm states them: data and noise, put together anew."""
    points, levels = data.noise.shape[:2]
    found = np.empty((points, levels))
    for i, j in np.ndindex(points, levels):
        x0, eps = np.asarray(data.points[i]), np.asarray(data.noise[i, j])
        sigma, other = float(data.sigmas[j]), float(data.sigmas[others[i, j]])
        label = None if data.labels is None else int(data.labels[i])
        asked = model if label is None else model.given(label)
        score = np.asarray(asked(jnp.asarray(x0 + sigma * eps), jnp.asarray(sigma)))
        x0_hat, eps_hat = x0 + sigma * eps + sigma**2 * score, -sigma * score
        x0_hat = x0 if what == "noise" else x0_hat
        eps_hat = eps if what == "data" else eps_hat
        one, two = (
            hidden(judge, y, other, layer, label)
            for y in (x0_hat + other * eps_hat, x0 + other * eps)
        )
        r = sigma * score + eps
        found[i, j] = np.mean(size(one - two)) + c * float(data.beta[j]) * r @ r
    return found


@pytest.mark.parametrize(
    ("words", "loop"),
    [
        ({}, {}),
        ({"layer": 0}, {"layer": 0}),
        ({"denoising": 0.5}, {"c": 0.5}),
        ({"predictions": "data"}, {"what": "data"}),
        ({"predictions": "noise"}, {"what": "noise"}),
        ({"distance": "absolute"}, {"size": np.abs}),
    ],
)
def test_terms_are_those_of_the_algorithm(words, loop):
    data, model, judge = denoising(points=3, levels=3), network(1), network(2)
    loss = self_perceptual(judge, data, KEY, batches=4, **words)
    found = loss.terms(model, data, jnp.asarray(5), ())
    expected = by_loop(model, judge, data, np.asarray(loss.others[1]), **loop)  # 5 modulo 4
    # differences of features that come from numbers up to about 30
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_both_networks_see_the_class():
    plain = denoising(points=4, levels=3, dim=1)
    data = DenoisingData(*jax.tree.leaves(plain), jnp.array([0, 1, -1, 1]))
    model, judge = network(1, classes=2, dim=1), network(2, classes=2, dim=1)
    loss = self_perceptual(judge, data, KEY)
    expected = by_loop(model, judge, data, np.asarray(loss.others[0]))
    np.testing.assert_allclose(loss.terms(model, data, ZERO, ()), expected, rtol=1e-9, atol=1e-12)


def test_equal_times_give_nothing():
    data, model = denoising(), network(1)
    loss = self_perceptual(network(2), data, KEY, times="equal")
    assert not np.any(loss.terms(model, data, ZERO, ()))


def test_other_levels_are_drawn_evenly():
    data = denoising(points=8, levels=4)
    others = np.asarray(self_perceptual(network(), data, KEY, batches=500).others)
    counts = np.bincount(others.ravel(), minlength=4)
    # 16,000 draws: standard deviation sqrt(16000 * 3 / 16) = 55
    assert np.all(np.abs(counts - 4000) < 4.5 * 55)


def test_gradients_flow_through_the_frozen_network():
    data, model = denoising(points=3, levels=3), network(1)
    descent = GradientDescent(
        model, data, jnp.asarray(0.1), optax.sgd, self_perceptual(network(2), data, KEY)
    )
    way = [np.random.default_rng(k).normal(size=w.shape) for k, w in enumerate(model.weights())]

    @jax.jit
    def loss(h):
        moved = (w + h * d for w, d in zip(model.weights(), way, strict=True))
        return descent.loss(tuple(moved))[0]

    # central differences: h^2 f''' and EPS f / h, both below 1e-8 of the slope here
    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(loss)(0.0), slope, rtol=1e-6)


def test_an_averaged_network_follows():
    data, model, a = denoising(points=3, levels=3), network(1), 0.7
    loss = self_perceptual(model, data, KEY, averaging=a)
    descent = GradientDescent(model, data, jnp.asarray(0.01), optax.sgd, loss)
    state, average = descent.init(), model.weights()
    step = eqx.filter_jit(lambda s: descent.step(s)[0])
    for k in range(3):
        judge = model.with_weights(average)
        frozen = self_perceptual(judge, data, KEY)
        own = GradientDescent(model, data, jnp.asarray(0.01), optax.sgd, frozen)
        expected = own.loss(state.weights, k)[0]
        np.testing.assert_allclose(
            descent.loss(state.weights, k, state.memory)[0], expected, rtol=1e-12
        )
        state = step(state)
        average = tuple(a * w + (1 - a) * v for w, v in zip(average, state.weights, strict=True))
    np.testing.assert_allclose(state.memory[0], average[0], rtol=1e-13)


class TestBatches:
    data = denoising(points=3, levels=4, dim=1)

    def test_step_by_step(self):
        batches = draw_batches(MIXTURE, self.data, KEY, 3)
        loss, model = Minibatches(DENOISING, *batches), network(1, dim=1)
        for k in range(5):
            own = eqx.tree_at(
                lambda d: (d.points, d.noise),
                self.data,
                (batches.points[k % 3], batches.noise[k % 3]),
            )
            found = loss.terms(model, self.data, jnp.asarray(k), ())
            np.testing.assert_allclose(found, weighted_squares(model, own), rtol=1e-12)

    def test_classes_and_their_loss(self):
        batches = draw_batches(LABELED, self.data, KEY, 4000, dropout=0.25)
        points, labels = np.asarray(batches.points)[..., 0], np.asarray(batches.labels)
        shares = [np.mean(labels == label) for label in (0, 1, -1)]
        for share, expected in zip(shares, [0.75 * 0.7, 0.75 * 0.3, 0.25], strict=True):
            assert abs(share - expected) < 4.5 * (expected * (1 - expected) / 12000) ** 0.5
        middle = np.abs(points) < 0.4  # two standard deviations of the component of class 1
        assert np.mean(labels[middle] == 1) / (1 - 0.25) > 0.99
        assert batches.points.dtype == self.data.points.dtype

    def test_members_are_runs_of_their_own(self):
        keys = jax.random.split(KEY, 2)
        models = jax.vmap(lambda k: preconditioned(perceptron(k, 1, 4, dtype="float64"), 1.0))(keys)
        drawn = jax.vmap(lambda k: draw_batches(MIXTURE, self.data, k, 5))(keys)
        losses = eqx.filter_vmap(
            lambda m, k: self_perceptual(m, self.data, k, batches=5, denoising=0.1)
        )(models, keys)
        words = {"steps": 7, "records": 1, "transform": optax.adam}
        both = train_ensemble(
            models, self.data, learning_rates=1e-3, objective=Minibatches(losses, *drawn), **words
        )
        for i in range(2):
            loss = Minibatches(member(losses, i), *member(drawn, i))
            alone = train(member(models, i), self.data, learning_rate=1e-3, objective=loss, **words)
            for one, other in zip(alone.model.weights(), both.model.weights(), strict=True):
                np.testing.assert_allclose(one, other[i], rtol=1e-10, atol=1e-13)

    def test_a_killed_run_goes_on(self, tmp_path):
        drawn = draw_batches(MIXTURE, self.data, KEY, 40)
        model = network(1, dim=1)
        loss = Minibatches(self_perceptual(network(2, dim=1), self.data, KEY, batches=40), *drawn)
        words = {"learning_rate": 1e-3, "objective": loss, "transform": optax.adam, "steps": 40}
        whole = train(model, self.data, records=40, **words)

        class KilledError(Exception):
            pass

        def kill(progress):
            raise KilledError

        file = tmp_path / "run.npz"
        with pytest.raises(KilledError):
            train(model, self.data, records=40, checkpoint=file, progress=kill, **words)
        resumed = train(model, self.data, records=40, checkpoint=file, **words)
        for one, other in zip(whole.model.weights(), resumed.model.weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        words["objective"] = Minibatches(DENOISING, *drawn)
        with pytest.raises(ValueError, match="loss was"):
            train(model, self.data, records=40, checkpoint=file, **words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"layer": 2}, "layer = 2"),
        ({"layer": -3}, "layer = -3"),
        ({"layer": 0.5}, r"layer = 0\.5: must be a whole number"),
        ({"layer": True}, "layer = True: must be a whole number"),
        ({"times": "late"}, "times = 'late'"),
        ({"predictions": "all"}, "predictions = 'all'"),
        ({"distance": "cosine"}, "distance = 'cosine'"),
        ({"denoising": -1.0}, "denoising = -1"),
        ({"averaging": 1.5}, "averaging = 1.5"),
        ({"averaging": 0.0}, "averaging = 0"),
        ({"batches": 0}, "batches = 0"),
    ],
)
def test_refusals_name_the_field(words, message):
    data = denoising(points=2, levels=2)
    with pytest.raises(ValueError, match=message):
        train(
            network(),
            data,
            steps=1,
            learning_rate=0.1,
            objective=self_perceptual(network(), data, KEY, **words),
        )


class Slope(AbstractModel):
    """A model of one's own, without hidden layers."""

    kind: ClassVar[str] = "slope"
    matrix: jax.Array

    def __call__(self, x, sigma):
        return self.matrix @ x

    def weights(self):
        return (self.matrix,)

    def with_weights(self, weights):
        return Slope(weights[0])

    def factors(self, x, sigma):
        return (Factor(x, jnp.eye(2)),)


def test_other_refusals():
    data = denoising(points=2, levels=2)
    with pytest.raises(ValueError, match="a model with hidden layers"):
        self_perceptual(Slope(jnp.ones((2, 2))), data, KEY).terms(network(), data, ZERO, ())
    with pytest.raises(ValueError, match="learning_rate = 'auto'"):
        train(network(), data, steps=1, objective=self_perceptual(network(), data, KEY))
    with pytest.raises(ValueError, match=r"dropout = 0\.1"):
        draw_batches(MIXTURE, data, KEY, 2, dropout=0.1)
    with pytest.raises(ValueError, match="dropout = 2"):
        draw_batches(LABELED, data, KEY, 2, dropout=2.0)


def test_classes_and_batches_fit():
    data, model = denoising(points=3, levels=2, dim=1), network(dim=1)
    words = {"steps": 1, "learning_rate": 0.1}
    labeled = Minibatches(DENOISING, *draw_batches(LABELED, data, KEY, 2, dropout=0.5))
    with pytest.raises(ValueError, match="labels = 1: must be below 0"):
        train(model, data, objective=labeled, **words)
    strange = jnp.array([0, 1, 7])
    own = eqx.tree_at(lambda d: d.labels, data, strange, is_leaf=lambda x: x is None)
    with pytest.raises(ValueError, match="labels = 7: must be below 2"):
        train(network(classes=2, dim=1), own, **words)
    larger = denoising(points=4, levels=2, dim=1)
    with pytest.raises(ValueError, match="the shape of the data"):
        train(
            model,
            larger,
            objective=Minibatches(DENOISING, *draw_batches(MIXTURE, data, KEY, 2)),
            **words,
        )
