"""Gradient descent against a loop in NumPy, step by step and many at once."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_cases import (
    data,
    descent_by_loop,
    gradients_by_loop,
    matrices,
    network,
    networks,
    squares_by_loop,
)

from design_space.training.descent import GradientDescent
from design_space.training.ensemble import Ensemble, member, stack
from design_space.training.objective import DenoisingData

RATE = 1e-4
STEPS = 5
# A step is a few hundred sums of at most 50 products each; five steps of them.
CLOSE = 1e-12

init = eqx.filter_jit(lambda run: run.init())
step = eqx.filter_jit(lambda run, state: run.step(state))
measure = eqx.filter_jit(lambda run, state: run.measure(state))
trace = eqx.filter_jit(lambda run, gaps: run.trace(run.init(), gaps))


@eqx.filter_jit
def _advanced(run, state, count):
    return run.advance(state, count)


def advance(run, state, count):
    return _advanced(run, state, jnp.asarray(count, jnp.int32))


@pytest.fixture(scope="module")
def descent():
    return GradientDescent(network(), data(), jnp.asarray(RATE))


class TestOneRun:
    def test_steps_are_those_of_a_plain_loop(self, descent):
        losses, hidden = descent_by_loop(descent.model, descent.data, RATE, STEPS)
        state = init(descent)
        for k in range(STEPS):
            state, info = step(descent, state)
            np.testing.assert_allclose(info.loss, losses[k], rtol=CLOSE)
        for ours, theirs in zip(state.weights, hidden, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=CLOSE, atol=CLOSE)
        assert int(state.step) == STEPS

    def test_every_step_measured_is_the_same_steps(self, descent):
        state, info = eqx.filter_jit(lambda d: d.every_step(d.init(), STEPS))(descent)
        losses, _ = descent_by_loop(descent.model, descent.data, RATE, STEPS)
        np.testing.assert_allclose(info.loss, losses[:-1], rtol=CLOSE)
        assert int(state.step) == STEPS

    def test_a_trace_is_the_steps(self, descent):
        gaps = jnp.array([0, 1, 3])
        state, info = trace(descent, gaps)
        losses, _ = descent_by_loop(descent.model, descent.data, RATE, STEPS)
        np.testing.assert_allclose(info.loss, losses[[0, 1, 4]], rtol=CLOSE)
        assert int(state.step) == 4

    def test_measurements_against_their_definitions(self, descent):
        moved = advance(descent, init(descent), 3)
        info = measure(descent, moved)
        first, start, last = matrices(descent.model)
        now = [np.asarray(w) for w in moved.weights]
        squares = squares_by_loop(first, now, last, descent.data)
        gradient = gradients_by_loop(first, now, last, descent.data)
        np.testing.assert_allclose(info.level_losses, squares.sum(0) / 12, rtol=CLOSE)
        np.testing.assert_allclose(jnp.sum(info.level_losses), info.loss, rtol=CLOSE)
        norms = [np.linalg.norm(g) for g in gradient]
        np.testing.assert_allclose(info.gradient_norms, norms, rtol=CLOSE)
        ways = [np.linalg.norm(w - w0) for w, w0 in zip(now, start, strict=True)]
        np.testing.assert_allclose(info.distances, ways, rtol=1e-9)  # a difference of near ones
        place = np.unravel_index(np.argmax(squares), squares.shape)
        assert tuple(np.asarray(info.where)) == place
        np.testing.assert_allclose(info.largest, squares[place], rtol=CLOSE)
        assert int(info.ties) == 1

    def test_ties_go_to_the_level_of_the_largest_scale(self):
        """With a zero score and equal noise every f_ij of a level is beta_j |xi|^2."""
        base = data(points=3, levels=4)
        noise = jnp.ones_like(base.noise)
        beta = jnp.array([1.0, 2.0, 2.0, 1.0])
        tied = DenoisingData(base.points, noise, base.sigmas, beta)
        model = network()
        silent = eqx.tree_at(lambda m: m.last, model, jnp.zeros_like(model.last))
        run = GradientDescent(silent, tied, jnp.asarray(RATE))
        info = measure(run, init(run))
        assert int(info.ties) == 6
        assert int(info.where[1]) == 2  # a_j = beta_j sigma_j^2 is larger at level 2 than at 1
        assert float(info.largest) == 4.0

    def test_any_update_rule_of_optax(self):
        model, given = network(), data()

        def momentum(rate):
            return optax.sgd(rate, momentum=0.5)

        run = GradientDescent(model, given, jnp.asarray(RATE), momentum)
        state = init(run)
        first, hidden, last = matrices(model)
        velocity = [np.zeros_like(w) for w in hidden]
        for _ in range(3):
            gradient = gradients_by_loop(first, hidden, last, given)
            velocity = [0.5 * v + g for v, g in zip(velocity, gradient, strict=True)]
            hidden = [w - RATE * v for w, v in zip(hidden, velocity, strict=True)]
            state, _ = step(run, state)
        for ours, theirs in zip(state.weights, hidden, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=CLOSE, atol=CLOSE)

    def test_only_hidden_layers_move(self, descent):
        state = advance(descent, init(descent), 3)
        model = descent.model.with_weights(state.weights)
        assert jnp.all(model.first == descent.model.first)
        assert jnp.all(model.last == descent.model.last)
        for now, then in zip(model.hidden, descent.model.hidden, strict=True):
            assert jnp.any(now != then)

    def test_divergence_stops_the_weights_and_is_told(self):
        run = GradientDescent(network(), data(), jnp.asarray(10.0))
        state = advance(run, init(run), 50)
        assert int(state.diverged_at) in (1, 2)
        assert int(state.step) == 50
        again = advance(run, state, 5)
        for one, other in zip(state.weights, again.weights, strict=True):
            np.testing.assert_array_equal(one, other)
        info = measure(run, again)
        for field in ("loss", "level_losses", "gradient_norms", "distances", "largest"):
            assert np.all(np.isposinf(getattr(info, field)))

    def test_float32_stays_float32(self):
        run = GradientDescent(network(dtype="float32"), data(dtype="float32"), jnp.float32(RATE))
        state, info = step(run, init(run))
        assert {w.dtype.name for w in state.weights} == {"float32"}
        assert info.loss.dtype.name == "float32"
        losses, _ = descent_by_loop(run.model, run.data, RATE, 0)
        np.testing.assert_allclose(info.loss, losses[0], rtol=1e-5)  # float32 rounds at 6e-8


class TestManyRuns:
    def check(self, ensemble, runs):
        """The ensemble's members are the runs alone."""
        gaps = jnp.array([0, 2, 2])
        state, info = trace(ensemble, gaps)
        for index, run in enumerate(runs):
            alone, measured = trace(run, gaps)
            for ours, theirs in zip(member(state.weights, index), alone.weights, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=CLOSE, atol=CLOSE)
            np.testing.assert_allclose(info.loss[index], measured.loss, rtol=CLOSE)
            np.testing.assert_array_equal(info.where[index], measured.where)

    def test_seeds_and_learning_rates(self):
        models, given = networks(3), data()
        rates = jnp.array([1e-4, 5e-5, 2e-4])
        runs = [GradientDescent(member(models, i), given, rates[i]) for i in range(3)]
        self.check(Ensemble(models, given, rates), runs)

    def test_data_schedules_and_weightings(self):
        models = networks(2)
        sets = [data(seed=1), data(seed=2)]
        sets[1] = eqx.tree_at(lambda d: d.beta, sets[1], 2 * sets[1].beta)
        sets[1] = eqx.tree_at(lambda d: d.sigmas, sets[1], 1.5 * sets[1].sigmas)
        rates = jnp.array([1e-4, 5e-5])
        runs = [GradientDescent(member(models, i), sets[i], rates[i]) for i in range(2)]
        self.check(Ensemble(models, stack(sets), rates), runs)

    def test_one_that_diverges_leaves_the_others_alone(self):
        models, given = networks(2), data()
        ensemble = Ensemble(models, given, jnp.array([1e-4, 10.0]))
        state = advance(ensemble, init(ensemble), 20)
        assert int(state.diverged_at[0]) == -1
        assert int(state.diverged_at[1]) > 0
        alone = GradientDescent(member(models, 0), given, jnp.asarray(1e-4))
        kept = advance(alone, init(alone), 20)
        np.testing.assert_allclose(state.weights[0][0], kept.weights[0], rtol=CLOSE, atol=CLOSE)

    def test_numbers_that_are_no_arrays_are_shared(self):
        trees = [{"a": jnp.asarray(1.0), "b": 0.5}, {"a": jnp.asarray(2.0), "b": 0.5}]
        both = stack(trees)
        assert both["b"] == member(both, 1)["b"] == 0.5
        assert float(member(both, 1)["a"]) == 2.0
        with pytest.raises(ValueError, match=r"members = .*0.5 in every member"):
            stack([trees[0], {"a": jnp.asarray(1.0), "b": 1.0}])

    @pytest.mark.parametrize("count", [2, 4])
    def test_members_must_agree(self, count):
        with pytest.raises(ValueError, match="members of models = 3: must be the dimension of lea"):
            Ensemble(networks(3), data(), jnp.full(count, 1e-4))


def test_one_program_serves_all_numbers_of_a_shape():
    """Learning rates, data, weightings and step counts do not compile again."""
    traced = []

    @eqx.filter_jit
    def run(descent, count):
        traced.append(1)
        return descent.advance(descent.init(), count)

    for seed, rate in enumerate([1e-4, 2e-4, 3e-4]):
        run(
            GradientDescent(network(seed=seed), data(seed=seed), jnp.asarray(rate)),
            jnp.asarray(seed),
        )
    assert len(traced) == 1
    run(GradientDescent(network(width=13), data(), jnp.asarray(1e-4)), jnp.asarray(1))
    assert len(traced) == 2


def test_gradients_against_finite_differences():
    """Central differences in float64 along random directions: h^2 f''' and EPS f/h balance."""
    run = GradientDescent(network(width=8, depth=3), data(), jnp.asarray(RATE))
    weights = run.model.weights()
    loss = jax.jit(lambda w: run.loss(w)[0])
    gradient = jax.jit(jax.grad(loss))(weights)
    for seed in range(4):
        keys = jax.random.split(jax.random.key(seed), len(weights))
        way = [jax.random.normal(k, w.shape) for k, w in zip(keys, weights, strict=True)]
        h = 1e-6

        def at(t, way=way):
            return float(loss(tuple(w + t * v for w, v in zip(weights, way, strict=True))))

        slope = sum(float(jnp.sum(g * v)) for g, v in zip(gradient, way, strict=True))
        np.testing.assert_allclose((at(h) - at(-h)) / (2 * h), slope, rtol=1e-6)
