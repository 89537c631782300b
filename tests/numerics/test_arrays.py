"""float64 is asked for, never faked; keys are split by name."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.arrays import EPS, float64, is_concrete, named_key

WITHOUT_X64 = """
from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture
for make in (
    lambda: Gaussian([0.0], [[1.0]]),
    lambda: Gaussian.isotropic(2, 1.0),
    lambda: Gaussian.diagonal([0.0], [1.0]),
    lambda: Gaussian.dirac([0.0]),
    lambda: GaussianMixture.isotropic([1.0], [[0.0]], [1.0]),
    lambda: GaussianMixture([1.0], [[0.0]], [[[1.0]]]),
    lambda: Empirical([[0.0]]),
):
    try:
        make()
    except ValueError as error:
        print(error)
"""


def test_float32_is_refused_with_the_line_that_helps():
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_X64], capture_output=True, text=True, check=True
    )
    lines = run.stdout.splitlines()
    assert len(lines) == 7, run.stdout + run.stderr
    for line in lines:
        assert line.startswith("jax_enable_x64 = False: exact quantities need 64-bit floats; ")
        assert 'jax.config.update("jax_enable_x64", True)' in line


def test_a_local_switch_counts():
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64 = False"):
        float64(1.0)


def test_float64_reads_numbers():
    for value in (1, 1.0, np.float32(1), np.ones(2, np.float16), jnp.ones(2, jnp.float32)):
        assert float64(value).dtype == jnp.float64
    assert EPS == 2.0**-52


def test_is_concrete_sees_into_pytrees():
    assert is_concrete(1.0, [np.ones(2)], {"a": jnp.ones(1)}, "text")
    seen = []
    jax.eval_shape(lambda x: seen.append(is_concrete(1.0, {"a": [x]})) or x, jnp.ones(1))
    assert seen == [False]


def test_named_streams():
    names = ["", "a", "b", "ab", "ba", "component", "normal", "normal2", "integrals"]
    keys = [named_key(jax.random.key(0), name) for name in names]
    data = {tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in keys}
    assert len(data) == len(names)
    again = named_key(jax.random.key(0), "normal")
    assert jnp.all(jax.random.key_data(again) == jax.random.key_data(keys[6]))
    other = named_key(jax.random.key(1), "normal")
    assert jnp.any(jax.random.key_data(other) != jax.random.key_data(keys[6]))
    draws = np.stack([np.asarray(jax.random.normal(key, (4000,))) for key in keys[5:7]])
    # the correlation of 4000 independent pairs has standard deviation 0.016
    assert abs(np.corrcoef(draws)[0, 1]) < 0.08
