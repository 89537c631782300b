"""Trained networks: the law of their sampler against a simulation, and runs that are killed."""

import os
import signal
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

import design_space as ds
from design_space.numerics.grid import interpolate
from design_space.pipeline import evaluate_training, training_data
from design_space.sampling.density_law import density_law
from design_space.sampling.steppers import Frozen
from design_space.training.train import train

BELL = ds.weightings.edm_weighting(sigma_data=1.0)
MODES = ds.GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [1.0]], [0.3, 0.4])
GRID = ds.edm(10, sigma_min=0.1, sigma_max=4.0)
DATA = training_data(MODES, GRID, BELL, 100, seed=1)
FEW = training_data(MODES, GRID, BELL, 20, seed=4)


def network(kind, dim=1, width=64):
    key = jax.random.key(11)
    if kind == "two-layer":
        return ds.two_layer(key, dim, width, both=True)
    return ds.relu_network(key, dim, width)


def trained(kind):
    return evaluate_training(MODES, GRID, BELL, network(kind), steps=300, data=DATA)


def check_law(score, count, seed=2):
    """Bins, mean and second moment of the density law against independent particles."""
    density = density_law(score, Frozen().moves(GRID))
    x = density.grid.points()
    q = np.exp(density.log_values) * density.grid.spacing
    np.testing.assert_allclose(q.sum(), 1.0, atol=1e-6)
    particles = ds.simulate(score, GRID, jax.random.key(seed), count=count, dim=1).particles
    drawn = np.asarray(particles)[:, 0]
    cells = 40 * (len(x) - 1) + 1  # a distribution function so fine that its steps do not matter
    fine = np.linspace(x[0], x[-1], min(cells, 2_000_001))
    log_q = interpolate(density.grid, density.log_values, fine)
    mass = np.cumsum(np.exp(log_q)) * (fine[1] - fine[0])
    expected = np.array([0.02, *[0.08] * 12, 0.02])
    edges = np.interp(np.cumsum(expected)[:-1], mass, fine)
    found = np.diff(np.searchsorted(np.sort(drawn), edges), prepend=0, append=count) / count
    # 14 bins and 2 moments: 4.5 standard errors each are exceeded by chance once in 10,000 times
    assert np.all(np.abs(found - expected) < 4.5 * np.sqrt(expected * (1 - expected) / count))
    for power in (1, 2):
        truth = float(np.sum(q * x**power))
        error = np.std(drawn**power) / np.sqrt(count)
        assert abs(np.mean(drawn**power) - truth) < 4.5 * error


@pytest.mark.parametrize("kind", [pytest.param("relu", marks=pytest.mark.slow), "two-layer"])
def test_the_density_law_of_a_trained_network_is_that_of_its_sampler(kind):
    found = trained(kind)
    assert found.method == "simulated"
    assert found.terms is None
    assert found.losses[0] < 0.9 * ds.empirical_loss(network(kind), DATA)
    assert found.last.marginal_kl.method == found.last.w2.method == "quadrature"
    assert float(found.last.marginal_kl.error) < 1e-3 * float(found.last.marginal_kl.value)
    assert found.last.marginal_kl.value <= found.last.path_kl.value
    check_law(found.score, 40_000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["relu", "two-layer"])
def test_a_million_particles(kind):
    check_law(trained(kind).score, 1_000_000)


@pytest.fixture(scope="module")
def plain():
    """A small network, and its run at 32 and at 96 steps."""
    words = {"data": FEW, "learning_rate": 1e-3, "steps": [32, 96]}
    model = network("relu", width=16)
    return model, evaluate_training(MODES, GRID, BELL, model, **words)


def check_same(one, two):
    for a, b in zip(one.weights(), two.weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_pieces_are_one_run(plain):
    model, found = plain
    for i, steps in enumerate((32, 96)):
        run = train(model, FEW, steps=steps, learning_rate=1e-3, records=16)
        check_same(found.models[i], run.model)
        assert found.losses[i] == run.info.loss[-1]


@pytest.mark.slow
def test_particles_are_said_to_be_particles():
    target = ds.GaussianMixture.isotropic([0.5, 0.5], [[-1.0, 0.0], [1.0, 1.0]], [0.3, 0.5])
    grid = ds.edm(3, sigma_min=0.5, sigma_max=3.0)
    words = {"steps": 10, "samples": 10, "draws": 64}  # too few draws for transport between them
    found = evaluate_training(target, grid, BELL, network("relu", dim=2, width=8), **words)
    assert found.last.marginal_kl.method == found.last.score.method == "monte carlo"
    row = found.to_dict()
    assert row["w2"]["value"] is None
    assert "at least 512 samples" in row["w2"]["reason"]
    assert row["training"]["budgets"][-1]["excess"]["method"] == "monte carlo"


@pytest.mark.parametrize("rate", [1e3, pytest.param("printed", marks=pytest.mark.slow)])
def test_a_diverged_training_has_no_budget_and_says_why(rate):
    words = {"steps": [0, 40], "data": FEW, "learning_rate": rate}
    found = evaluate_training(MODES, GRID, BELL, network("relu", width=16), **words)
    assert found.budgets[0].marginal_kl.reason is None
    assert 0 <= int(found.diverged_at) <= 40
    assert np.isinf(found.losses[1])
    for name in ("initialization", "path_kl", "marginal_kl", "w2"):
        entry = found.to_dict()[name]
        assert entry["value"] is None
        assert "training diverged" in entry["reason"]
        assert "2/lambda_max" in entry["reason"]
    assert "training diverged" in (found.excesses[1].reason or "")


class StoppedError(Exception):
    """Stands for a kill."""


def test_a_run_that_stopped_goes_on_bitwise(tmp_path, plain):
    model, alone = plain
    words = {"data": FEW, "learning_rate": 1e-3, "steps": [32, 96]}

    def stop(label, done, total):
        assert total == 96
        if done > 32:
            raise StoppedError

    path = tmp_path / "run.npz"
    with pytest.raises(StoppedError):
        evaluate_training(MODES, GRID, BELL, model, checkpoint=path, progress=stop, **words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run-32.npz", "run-96.npz"]
    kept = (tmp_path / "run-32.npz").stat().st_mtime_ns
    again = evaluate_training(MODES, GRID, BELL, model, checkpoint=path, **words)
    assert (tmp_path / "run-32.npz").stat().st_mtime_ns == kept
    check_same(again.score, alone.score)
    np.testing.assert_array_equal(again.losses, alone.losses)


SPECIFICATION = """
[target]
kind = "mixture"
weights = [0.3, 0.7]
means = [[-1.0], [1.0]]
stds = [0.3, 0.4]
[schedule]
kind = "edm"
steps = 4
sigma_min = 0.2
sigma_max = 3.0
[score]
kind = "trained"
[model]
kind = "relu"
width = 32
[weighting]
kind = "uniform"
[training]
samples = 20
steps = 2000
"""


@pytest.mark.slow
def test_a_killed_command_resumes(tmp_path):
    (tmp_path / "design.toml").write_text(SPECIFICATION)
    script = textwrap.dedent("""
        import os, signal, sys
        from design_space.training import train

        kept = train.save
        def save(*args):
            kept(*args)
            os.kill(os.getpid(), signal.SIGKILL)
        train.save = save
        from design_space.cli import app
        app(["evaluate", "design.toml", "--json", "--checkpoint", "run.npz"])
    """)
    words = {"cwd": tmp_path, "env": os.environ | {"DESIGN_SPACE_CACHE": "off"}}
    killed = subprocess.run([sys.executable, "-c", script], **words)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "run-2000.npz").exists()
    command = [sys.executable, "-m", "design_space.cli", "evaluate", "design.toml", "--json"]
    again = subprocess.run(
        [*command, "--checkpoint", "run.npz"], capture_output=True, check=True, **words
    )
    plain = subprocess.run(command, capture_output=True, check=True, **words)
    assert again.stdout == plain.stdout
