"""Random training designs, and the weights that are steered to, against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses import training_designs as td
from analyses.perturbed import equalized, remainders, shifted, worst_residual
from analyses.steering import Place, steered
from design_space.scores.relu_network import relu_network
from design_space.training.objective import empirical_loss, weighted_squares

SMALL = {"points": 2, "levels": 2, "dim": 3, "width": 256}


@pytest.fixture(scope="module")
def design():
    return td.of_seeds(3, **SMALL)[2]


@pytest.fixture(scope="module")
def place(design):
    return Place(*td.drawn(design))


def test_a_seed_fixes_everything_but_the_sizes():
    one, other = td.of_seeds(8), td.of_seeds(8, width=256, points=2)
    assert [d.grid for d in one] == [d.grid for d in other]
    assert [d.weighting for d in one] == [d.weighting for d in other]
    assert {d.weighting for d in one} == set(td.WEIGHTINGS)
    assert {d.law for d in one} == {"gaussian", "sphere"}


def test_networks_are_drawn_as_the_package_draws_them(design):
    model, _ = td.drawn(design)
    like = relu_network(jax.random.key(0), design.dim, design.width, design.depth)
    assert jax.tree.map(jnp.shape, model) == jax.tree.map(jnp.shape, like)
    wide = td.drawn(td.TrainingDesign(width=400, dim=6))[0]
    # 160000, 2800 and 2400 entries: five standard errors of a variance are below 2, 14 and 15 %
    for matrix, variance, to in (
        (wide.hidden[0], 2 / 400, 0.02),
        (wide.first, 2 / 400, 0.14),
        (wide.last, 1 / 6, 0.15),
    ):
        np.testing.assert_allclose(np.var(matrix), variance, rtol=to)


@pytest.mark.parametrize("law", td.LAWS)
def test_data_have_the_length_of_their_law(law):
    data = td.drawn(td.TrainingDesign(points=200, dim=10, law=law))[1]
    length = np.sqrt(np.mean(np.sum(np.asarray(data.points) ** 2, axis=1) / 10))
    # on spheres exactly; of 2000 normal entries within five standard errors, 8 %
    np.testing.assert_allclose(length, td.LAWS[law], rtol=0.08 if law == "gaussian" else 1e-12)


@pytest.mark.parametrize("weighting", [*td.WEIGHTINGS, "steep"])
def test_the_largest_scale_is_one(weighting):
    data = td.drawn(td.TrainingDesign(weighting=weighting))[1]
    scales = np.asarray(data.beta) * np.asarray(data.sigmas) ** 2
    np.testing.assert_allclose(scales.max(), 1, rtol=1e-12)
    if weighting == "equal":
        np.testing.assert_allclose(scales, 1, rtol=1e-12)


def test_a_run_is_gradient_descent(design, place):
    h = 0.01
    run = td.measured(td.descended, (design,), np.array([h]))
    loss = jax.jit(lambda w: empirical_loss(place.model.with_weights(w), place.data))
    slope, weights = jax.jit(jax.grad(loss)), place.model.weights()
    scales = np.asarray(place.data.scales)
    for k in range(5):
        squares = weighted_squares(place.model.with_weights(weights), place.data)
        best = np.unravel_index(np.argmax(squares), squares.shape)
        assert run.scales[0, k] == scales[best[1]]
        gradient = slope(weights)
        np.testing.assert_allclose(run.losses[0, k], loss(weights), rtol=1e-10)
        square = np.sum(np.asarray(gradient[0]) ** 2)
        np.testing.assert_allclose(run.gradients[0, k, 0], square, rtol=1e-9)
        weights = tuple(w - h * g for w, g in zip(weights, gradient, strict=True))


def test_exponents_of_powers_are_exact_and_cover_noise():
    x = (2, 4, 8)
    y = np.array([[3.0 * n**-1.5 * c for c in (1.0, 2.0, 5.0)] for n in x])
    value, error = td.exponent(x, y)
    assert abs(value + 1.5) < 1e-12
    assert error < 1e-12
    noise = np.random.default_rng(0).standard_normal((3, 40))
    value, error = td.exponent(x, y[:, :1] * np.exp(0.2 * noise))
    assert abs(value + 1.5) < error < 0.2


def test_sizes_along_an_axis_differ_in_it_only():
    values = [np.array([float(i)]) for i in range(len(td.SHAPES))]
    for axis, sizes in td.AXES.items():
        found, picked = td.along(axis, values)
        shapes = [dict(td.SHAPES[int(i)]) for i in picked[:, 0]]
        assert tuple(s[axis] for s in shapes) == found == sizes
        assert len({tuple(v for k, v in s.items() if k != axis) for s in shapes}) == 1


def test_steering_reaches_other_residuals(place):
    start = np.asarray(place.residuals(place.model.weights()))
    target = 0.5 * start + 0.3 * np.random.default_rng(4).standard_normal(start.size)
    there = jax.jit(lambda t: steered(place, t).model.weights())(jnp.asarray(target))
    np.testing.assert_allclose(place.residuals(there), target, atol=1e-8)


def test_the_worst_residual_has_the_least_gradient():
    one = td.TrainingDesign(points=1, grid=(0.2, 0.5, 2.0), dim=3, width=256)
    found = jax.jit(worst_residual)(*td.drawn(one))
    least = np.linalg.eigvalsh(found.kernel)[0]
    np.testing.assert_allclose(np.sum(found.squares), 2 * least * found.loss, rtol=1e-5)


def test_shifted_weights_move_by_the_radius_up_and_down(place):
    found = jax.jit(shifted)(place.model, place.data, 0.05, 0)
    assert found.loss[0] > found.initial_loss[0] > found.loss[1]


def test_remainders_are_second_order_and_quadratic_at_interpolation(place):
    rows = jnp.asarray(np.random.default_rng(5).standard_normal(12))
    near = jax.jit(remainders)(place.model, place.data, 1e-6, 1e-4, rows)
    # a ReLU network with one trained layer is linear in it between kinks
    np.testing.assert_allclose(near.value[1], 0.5 * near.curvature[1] * 1e-8, rtol=1e-3)


def test_beta_makes_the_levels_equal(place):
    data, squares = equalized(place.model, place.data, 1.0)
    np.testing.assert_allclose(np.ptp(np.mean(squares, axis=0)), 0, atol=1e-12)
    np.testing.assert_allclose(squares, weighted_squares(place.model, data), rtol=1e-12)
