"""Checkpoints: resumed bitwise, and refused if they are of another run."""

import functools
import os
import signal
import subprocess
import sys
import textwrap
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_cases import data, network

import design_space as ds
from design_space.training.checkpoint import digest, load, rule_digest, save
from design_space.training.train import train


class TestCheckpoints:
    WORDS: ClassVar = {"steps": 40, "learning_rate": 1e-4, "records": 40}

    def test_a_finished_run_is_read_back(self, tmp_path):
        path = tmp_path / "deep" / "run.npz"
        first = train(network(), data(), **self.WORDS, checkpoint=path)
        again = train(network(), data(), **self.WORDS, checkpoint=path)
        plain = train(network(), data(), **self.WORDS)
        for other in (again, plain):
            for one, two in zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True):
                np.testing.assert_array_equal(one, two)

    def test_a_run_that_stopped_goes_on_bitwise(self, tmp_path):
        path = tmp_path / "run.npz"

        class StoppedError(Exception):
            pass

        def stop(progress):
            if progress.done >= 31:
                raise StoppedError

        with pytest.raises(StoppedError):
            train(network(), data(), **self.WORDS, checkpoint=path, progress=stop)
        told = []
        again = train(network(), data(), **self.WORDS, checkpoint=path, progress=told.append)
        assert [word.done for word in told] == [40]
        plain = train(network(), data(), **self.WORDS)
        for one, two in zip(jax.tree.leaves(again), jax.tree.leaves(plain), strict=True):
            np.testing.assert_array_equal(one, two)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"learning_rate": 2e-4}, "learning rate was 0.0001, is 0.0002"),
            ({"steps": 39, "records": 39}, "steps was 40, is 39"),
            ({"records": [0, 40]}, "records was"),
            ({"transform": optax.adam}, "update rule was sgd, is adam"),
        ],
    )
    def test_other_settings_are_refused(self, tmp_path, change, said):
        path = tmp_path / "run.npz"
        train(network(), data(), **self.WORDS, checkpoint=path)
        before = path.read_bytes()
        with pytest.raises(ValueError, match=f"must be of the same run, but .*{said}"):
            train(network(), data(), **(self.WORDS | change), checkpoint=path)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("other", ["model", "data"])
    def test_another_start_is_refused(self, tmp_path, other):
        path = tmp_path / "run.npz"
        train(network(), data(), **self.WORDS, checkpoint=path)
        model, given = (network(seed=1), data()) if other == "model" else (network(), data(seed=1))
        said = "initial weights" if other == "model" else "data was"
        with pytest.raises(ValueError, match=said):
            train(model, given, **self.WORDS, checkpoint=path)

    def test_another_model_with_the_same_arrays_is_refused(self, tmp_path):
        path, levels = tmp_path / "run.npz", np.asarray(data().sigmas)
        train(ds.per_level_affine(2, levels), data(), **self.WORDS, checkpoint=path)
        with pytest.raises(ValueError, match=r"model was linear .*, is linear"):
            train(ds.shared_affine(2, levels), data(), **self.WORDS, checkpoint=path)

    def test_another_rule_of_the_same_name_is_refused(self, tmp_path):
        path = tmp_path / "run.npz"
        rules = [lambda h, b=b: optax.sgd(h, momentum=b) for b in (0.9, 0.1)]
        train(network(), data(), **self.WORDS, transform=rules[0], checkpoint=path)
        with pytest.raises(ValueError, match="run, but what the update rule computes was"):
            train(network(), data(), **self.WORDS, transform=rules[1], checkpoint=path)
        same = functools.partial(optax.sgd, momentum=0.9)  # another name, the same numbers
        with pytest.raises(ValueError, match=r"update rule was .*lambda.*, is partial; give"):
            train(network(), data(), **self.WORDS, transform=same, checkpoint=path)

    def test_a_digest_of_a_rule_outlives_its_address(self):
        def made():
            return functools.partial(lambda h, clip: optax.chain(optax.clip(clip), optax.adam(h)))

        weights = network().weights()
        digests = [rule_digest(functools.partial(made(), clip=c), weights) for c in (1.0, 1.0, 2.0)]
        assert digests[0] == digests[1] != digests[2]

    def test_a_folder_is_refused_and_stays(self, tmp_path):
        with pytest.raises(ValueError, match="must be a file, not a folder; name a file in it"):
            train(network(), data(), **self.WORDS, checkpoint=tmp_path)
        assert tmp_path.is_dir()

    @pytest.mark.parametrize("content", [b"", b"nonsense", None])
    def test_a_damaged_file_is_set_aside(self, tmp_path, content):
        path = tmp_path / "run.npz"
        save(path, {"a": 1}, {"x": jnp.arange(3.0)})
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if content is None else content)
        with pytest.warns(UserWarning, match="damaged: set aside as run.npz.damaged"):
            assert load(path, {"a": 1}, {"x": 0}) is None
        assert not path.exists()
        assert path.with_name("run.npz.damaged").exists()

    def test_digests_tell_values_shapes_and_types_apart(self):
        trees = [jnp.zeros(4), jnp.zeros((2, 2)), jnp.zeros(4, jnp.float32), jnp.ones(4)]
        assert len({digest(tree) for tree in trees}) == 4
        assert digest(trees[0]) == digest(jnp.zeros(4))


PROGRAM = """
    import sys
    import jax
    jax.config.update("jax_enable_x64", True)
    sys.path.insert(0, {folder!r})
    from training_cases import data, network
    from design_space.training.train import train
    import numpy as np

    def told(progress):
        print(progress.done, flush=True)

    run = train(network(), data(), steps=20000, learning_rate=1e-4, records=1000,
                checkpoint={path!r}, progress=told)
    np.save({path!r} + ".npy", np.asarray(run.info.loss))
"""


@pytest.mark.slow
def test_a_killed_process_resumes_bitwise(tmp_path):
    folder = os.path.dirname(__file__)

    def start(name):
        text = textwrap.dedent(PROGRAM.format(folder=folder, path=str(tmp_path / name)))
        return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)

    whole = start("whole")
    whole.communicate(timeout=300)
    assert whole.returncode == 0
    killed = start("killed")
    for _ in range(20):
        assert killed.stdout.readline().strip()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed.npy").exists()
    resumed = start("killed")
    first, _ = resumed.communicate(timeout=300)
    assert int(first.split()[0]) > 20 * 16 * 20 / 2  # it did not begin anew
    one, two = (np.load(tmp_path / f"{name}.npy") for name in ("whole", "killed"))
    assert one.tobytes() == two.tobytes()
