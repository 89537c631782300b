"""Whole runs: learning rates, records, checkpoints, divergence, refusals."""

import json
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from training_cases import data, descent_by_loop, network, networks

import design_space as ds
from design_space.numerics.memory import available_bytes
from design_space.training.ensemble import member
from design_space.training.guards import check_rule
from design_space.training.learning_rate import (
    curvature,
    printed_learning_rate,
    read_learning_rate,
    stability_limit,
)
from design_space.training.memory import check_memory, needed_bytes
from design_space.training.objective import DenoisingData, empirical_loss
from design_space.training.train import Progress, record_steps, train, train_ensemble

CLOSE = 1e-11  # twenty steps of the loop that test_descent holds to 1e-12


@pytest.fixture(scope="module")
def run():
    return train(network(), data(), steps=20, learning_rate=1e-4, records=20)


class TestRuns:
    def test_against_a_plain_loop(self, run):
        losses, hidden = descent_by_loop(network(), data(), 1e-4, 20)
        np.testing.assert_allclose(run.info.loss, losses, rtol=CLOSE)
        for ours, theirs in zip(run.model.weights(), hidden, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=CLOSE, atol=CLOSE)
        assert run.steps.tolist() == list(range(21))
        assert int(run.diverged_at) == -1

    def test_records_where_asked(self, run):
        at = [0, 3, 4, 20]
        some = train(network(), data(), steps=20, learning_rate=1e-4, records=at)
        assert some.steps.tolist() == at
        np.testing.assert_allclose(some.info.loss, run.info.loss[jnp.array(at)], rtol=CLOSE)
        assert some.info.level_losses.shape == (4, 4)

    @pytest.mark.parametrize("records", [1, 5, 16, 17, 100])
    def test_record_steps_begin_and_end_the_run(self, records):
        at = record_steps(40, records)
        assert at[0] == 0
        assert at[-1] == 40
        assert len(at) == min(records, 40) + 1
        assert np.all(np.diff(at) > 0)

    def test_progress_is_told(self):
        told = []
        train(network(), data(), steps=40, learning_rate=1e-4, records=40, progress=told.append)
        assert all(isinstance(word, Progress) for word in told)
        assert [word.done for word in told] == [15, 31, 40]
        assert told[-1] == Progress(40, 40, 0.0)
        assert told[0].seconds_left > 0

    def test_an_ensemble_is_its_members(self):
        models = networks(3)
        rates = np.array([1e-4, 2e-4, 5e-5])
        together = train_ensemble(models, data(), steps=10, learning_rates=rates, records=10)
        assert together.info.loss.shape == (3, 11)
        for i in range(3):
            losses, _ = descent_by_loop(member(models, i), data(), rates[i], 10)
            np.testing.assert_allclose(together.info.loss[i], losses, rtol=CLOSE)


def hessian(model, given):
    flat, unravel = ravel_pytree(model.weights())
    matrix = jax.hessian(lambda w: empirical_loss(model.with_weights(unravel(w)), given))(flat)
    return np.asarray(matrix)


class TestLearningRates:
    @pytest.mark.slow
    @pytest.mark.parametrize("depth", [1, 2])
    def test_curvature_is_the_largest_eigenvalue_of_the_hessian(self, depth):
        model, given = network(width=6, depth=depth), data(points=3, levels=2)
        truth = np.linalg.eigvalsh(hessian(model, given))[-1]
        found = curvature(model, given)
        np.testing.assert_allclose(found.value, truth, rtol=1e-8)
        np.testing.assert_allclose(stability_limit(model, given), 2 / truth, rtol=1e-8)
        auto = read_learning_rate("auto", model, given)
        np.testing.assert_allclose(auto, 1 / truth, rtol=1e-8)

    def test_printed(self):
        model, given = network(width=12), data(points=6, levels=4)
        least = np.min(np.asarray(given.beta) * np.asarray(given.sigmas) ** 2)
        np.testing.assert_allclose(
            printed_learning_rate(given, 12), 6 * 4 / (12 * least), rtol=1e-14
        )
        found = read_learning_rate("printed", model, given)
        np.testing.assert_allclose(found, 6 * 4 / (12 * least), rtol=1e-14)

    def test_auto_converges_and_far_above_the_limit_is_lost(self):
        model, given = network(), data()
        fine = train(model, given, steps=200, records=20)
        assert np.all(np.diff(fine.info.loss) < 0)
        # A little above 2/lambda_max a network may still move to where the loss is flatter.
        limit = float(stability_limit(model, given))
        with pytest.raises(ValueError, match=r"learning_rate = .*at step.*2/lambda_max = "):
            train(model, given, steps=400, learning_rate=1e4 * limit, records=10)

    def test_a_network_whose_neurons_are_all_off_is_lost(self):
        """A step so large that nothing is active any more leaves a loss without a gradient."""
        model, given = network(), data()
        silent = jax.tree.map(lambda w: -jnp.abs(w), model.hidden)
        off = model.with_weights(silent)
        with pytest.raises(ValueError, match="lost every active neuron, at step 0"):
            train(off, given, steps=3, learning_rate=1e-4)

    def test_the_printed_rate_diverges_with_a_clear_word(self):
        with pytest.raises(ValueError, match=r"at step .*take \"auto\" \("):
            train(network(), data(), steps=50, learning_rate="printed")

    def test_divergence_may_be_recorded(self):
        rates = np.array([1e-4, 10.0])
        found = train_ensemble(
            networks(2), data(), steps=20, learning_rates=rates, on_divergence="record"
        )
        assert int(found.diverged_at[0]) == -1
        assert int(found.diverged_at[1]) > 0
        assert np.isposinf(found.info.loss[1, -1])
        assert not np.any(np.isnan(found.info.loss))

    def test_a_run_lost_in_its_last_step_is_told(self):
        with pytest.raises(ValueError, match="at step 1,"):
            train(network(), data(), steps=1, learning_rate=1e160)


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ({"steps": 0}, "steps = 0: must be a whole number of at least 1"),
            ({"learning_rate": -1.0}, "learning_rate = -1.0: must be above 0"),
            ({"learning_rate": "best"}, "learning_rate = 'best': must be one of auto, printed"),
            ({"learning_rate": float("nan")}, "learning_rate = nan: must be finite"),
            ({"records": 0}, "records = 0: must be a whole number of at least 1"),
            ({"records": [3, 2]}, "records = .3, 2.: must be a number, or ascending steps"),
            ({"records": [0, 11]}, "records = .0, 11.: must be a number, or ascending steps"),
            ({"steps": 3 * 10**9}, "steps = 3000000000: must be at most 2147483647"),
            ({"on_divergence": "pray"}, "on_divergence = 'pray': must be one of raise, record"),
        ],
    )
    def test_settings(self, words, message):
        with pytest.raises(ValueError, match=message):
            train(network(), data(), **({"steps": 10} | words))

    def test_a_linear_model_at_its_minimum_is_not_lost(self):
        points, ones = jnp.array([[1.0], [-3.0]]), jnp.ones((2, 1, 1))
        given = DenoisingData(points, ones, jnp.ones(1), jnp.ones(1))  # X = 2, -2 and r = 1, 1
        run = train(ds.per_level_affine(1, [1.0], intercept=False), given, steps=3)
        assert run.info.loss[-1] == 0.5
        assert run.info.gradient_norms[-1] == 0
        assert run.diverged_at == -1

    def test_records_between_steps(self):
        with pytest.raises(ValueError, match=r"records = .0, 1.5, 4.: must be .*, all whole"):
            record_steps(5, [0, 1.5, 4])

    def test_a_rule_that_is_made_already(self):
        with pytest.raises(ValueError, match="must be a function of the learning rate; give optax"):
            check_rule(optax.sgd(0.1))

    def test_learning_rates_of_members(self):
        with pytest.raises(ValueError, match=r"learning_rates = 0\.0: must be above 0"):
            train_ensemble(networks(2), data(), steps=5, learning_rates=np.array([1e-4, 0.0]))

    def test_one_model_is_no_ensemble(self):
        with pytest.raises(ValueError, match="matrices with a member axis; make the models by jax"):
            train_ensemble(network(), data(), steps=5)

    def test_as_many_rates_and_data_as_models(self):
        with pytest.raises(ValueError, match=r"learning_rates = .*: must be one number, or 3, one"):
            train_ensemble(networks(3), data(), steps=5, learning_rates=[1e-4, 1e-4])
        given = jax.tree.map(lambda *leaves: jnp.stack(leaves), data(seed=1), data(seed=2))
        with pytest.raises(ValueError, match=r"members of data = 2: must be .* models, 3"):
            train_ensemble(networks(3), given, steps=5)

    @pytest.mark.parametrize("rate", ["auto", 0.1])
    def test_a_model_that_does_not_know_the_levels(self, rate):
        levels = np.asarray(data().sigmas)  # inside a preconditioned model they are ln(sigma)/4
        model = ds.preconditioned(ds.per_level_affine(2, levels))
        with pytest.raises(ValueError, match="model = 'preconditioned': must be one whose loss"):
            train(model, data(), steps=5, learning_rate=rate)

    @pytest.mark.parametrize("size", ["dim", "width", "depth"])
    def test_network_sizes(self, size):
        sizes = {"dim": 2, "width": 4, "depth": 1} | {size: 0}
        with pytest.raises(ValueError, match=f"{size} = 0: must be a whole number of at least 1"):
            ds.relu_network(jax.random.key(0), **sizes)

    def test_number_type(self):
        with pytest.raises(ValueError, match="dtype = 'float16': must be float32 or float64"):
            network(dtype="float16")

    @pytest.mark.parametrize(("one", "other"), [("float32", "float64"), ("float64", "float32")])
    def test_number_types_of_network_and_data(self, one, other):
        with pytest.raises(
            ValueError, match=f"dtype = '{one}': must be the number type of .*{other}"
        ):
            train(network(dtype=one), data(dtype=other), steps=5)

    def test_dimension_of_network_and_data(self):
        with pytest.raises(
            ValueError, match=r"points.shape\[1\] = 2: must be the dimension of the model"
        ):
            train(network(dim=3), data(dim=2), steps=5)


class TestMemory:
    def test_the_message_names_sizes_and_a_batch_that_fits(self):
        model, given = network(width=64), data()
        one = needed_bytes(model, given)
        check_memory(model, given, 3, 3 * one)
        with pytest.raises(
            MemoryError, match=r"members = 4: out of memory; .*64x64.* 3 members fit"
        ):
            check_memory(model, given, 4, 3 * one)
        with pytest.raises(MemoryError, match="one run does not fit; take fewer"):
            check_memory(model, given, 1, one - 1)

    def test_the_estimate_is_of_the_size_that_the_compiler_plans(self):
        """Within a factor of three, for a run dominated by weights and one by points."""
        from design_space.training.descent import GradientDescent

        for width, points in ((256, 4), (16, 2000)):
            model, given = network(width=width), data(points=points)
            descent = GradientDescent(model, given, jnp.asarray(1e-4))
            plan = jax.jit(lambda d: d.step(d.init())).lower(descent).compile().memory_analysis()
            total = plan.temp_size_in_bytes + plan.argument_size_in_bytes
            total += plan.output_size_in_bytes
            assert 1 / 3 < needed_bytes(model, given) / total < 3

    def test_a_network_that_cannot_be_drawn_is_refused(self):
        with pytest.raises(MemoryError, match=r"width = 10000000: out of memory; .* at most \d+"):
            ds.relu_network(jax.random.key(0), 2, 10**7)

    def test_this_machine_has_some(self):
        assert available_bytes() > 2**20


SHARDED = """
    import sys
    import jax
    jax.config.update("jax_enable_x64", True)
    sys.path.insert(0, {folder!r})
    from training_cases import data, networks
    import equinox as eqx, jax.numpy as jnp, json, numpy as np
    from design_space.training.ensemble import Ensemble, shard

    assert len(jax.devices()) == 2
    ensemble = Ensemble(networks(4), data(), jnp.full(4, 1e-4))
    run = eqx.filter_jit(lambda e: e.trace(e.init(), jnp.array([0, 5])))
    state, info = run(shard(ensemble))
    assert len(state.weights[0].sharding.device_set) == 2
    alone = run(ensemble)[1]
    off = float(jnp.max(jnp.abs(jax.device_get(info.loss) / jax.device_get(alone.loss) - 1)))
    try:
        shard(Ensemble(networks(3), data(), jnp.full(3, 1e-4)))
        said = ""
    except ValueError as error:
        said = str(error)
    print(json.dumps([off, said]))
"""


@pytest.mark.slow
def test_an_ensemble_shared_out_over_two_devices():
    text = textwrap.dedent(SHARDED.format(folder=os.path.dirname(__file__)))
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    found = subprocess.run(
        [sys.executable, "-c", text], env=os.environ | flags, capture_output=True, check=False
    )
    assert found.returncode == 0, found.stderr.decode()
    off, said = json.loads(found.stdout)
    assert off < 1e-12
    assert "members = 3: must be a multiple of the number of devices, 2" in said
