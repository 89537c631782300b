"""Perceptrons with class labels, and the hidden layers of every network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.scores.linear import random_features, shared_affine
from design_space.scores.perceptron import perceptron
from design_space.scores.preconditioned import preconditioned
from design_space.scores.relu_network import relu_network
from design_space.scores.two_layer import two_layer

KEY = jax.random.key(4)
X, SIGMA = jnp.array([0.3, -1.2]), jnp.asarray(0.5)


def test_no_class_is_a_label_of_its_own():
    net = perceptron(KEY, 2, 8, classes=2, dtype="float64")
    values = [net.given(label)(X, SIGMA) for label in (0, 1, None)]
    np.testing.assert_array_equal(values[2], net(X, SIGMA))
    # the columns of the classes are what makes the difference
    bare = [
        matrix.at[:, 3:5].set(0) if k == 0 else matrix for k, matrix in enumerate(net.weights())
    ]
    np.testing.assert_array_equal(net.with_weights(tuple(bare)).given(1)(X, SIGMA), values[2])
    assert len({float(value[0]) for value in values}) == 3


def test_labels_may_be_traced():
    net = perceptron(KEY, 2, 8, classes=2, dtype="float64")
    together = jax.vmap(lambda label: net.given(label)(X, SIGMA))(jnp.arange(-1, 2))
    alone = [net.given(label)(X, SIGMA) for label in (None, 0, 1)]
    np.testing.assert_allclose(together, jnp.stack(alone), rtol=1e-14)


@pytest.mark.parametrize(
    ("model", "layers", "width"),
    [
        (perceptron(KEY, 2, 8, 3), 3, 8),
        (relu_network(KEY, 2, 7, 2), 3, 7),
        (two_layer(KEY, 2, 6), 1, 6),
        (random_features(KEY, 2, 5), 1, 5),
        (preconditioned(perceptron(KEY, 2, 8, 2)), 2, 8),
    ],
    ids=["perceptron", "relu", "two-layer", "features", "preconditioned"],
)
def test_hidden_layers(model, layers, width):
    found = model.outputs(X, SIGMA)
    assert [h.shape for h in found] == [(width,)] * layers


def test_the_last_layer_acts_on_the_last_hidden_one():
    net = perceptron(KEY, 2, 8, 2, dtype="float64")
    last = jnp.append(net.outputs(X, SIGMA)[-1], 1.0)
    np.testing.assert_allclose(net.weights()[-1] @ last, net(X, SIGMA), rtol=1e-14)
    inside, c = preconditioned(net, 1.0), np.cos(np.arctan(0.5))
    # with sigma_data = 1 the network sees the variance-preserving point
    seen = net.outputs(c * X, jnp.log(SIGMA) / 4)[0]
    np.testing.assert_allclose(inside.outputs(X, SIGMA)[0], seen, rtol=1e-13)


def test_entries_have_the_variance_of_their_layer():
    net = perceptron(KEY, 1, 400, 2)
    for matrix, factor in zip(net.weights(), (2, 2, 1), strict=True):
        variance, entries = factor / matrix.shape[1], matrix.size
        # the variance of a mean of squares of normals is 2 variance^2 / entries
        off = abs(float(jnp.mean(matrix**2)) - variance)
        assert off < 4.5 * variance * (2 / entries) ** 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: perceptron(KEY, 1, 0), "width = 0"),
        (lambda: perceptron(KEY, 1, 4, 0), "depth = 0"),
        (lambda: perceptron(KEY, 1, 4, classes=-1), "classes = -1"),
        (lambda: perceptron(KEY, 1, 4, activation="step"), "activation = 'step'"),
        (lambda: perceptron(KEY, 1, 4, dtype="int32"), "dtype"),
        (lambda: perceptron(KEY, 1, 4, classes=2).given(2), "label = 2"),
        (lambda: perceptron(KEY, 1, 4, classes=2).given(-2), "label = -2"),
        (lambda: perceptron(KEY, 1, 4).given(0), "label = 0"),
        (lambda: shared_affine(1, [0.0]).given(0), "label = 0"),
    ],
)
def test_refusals_name_the_field(make, words):
    with pytest.raises(ValueError, match=words):
        make()
