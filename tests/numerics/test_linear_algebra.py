"""Decompositions against NumPy, alone and batched, and how they are batched on a CPU."""

import re
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.numerics.linear_algebra import eigh, eigvalsh, solve, svd

RANDOM = np.random.default_rng(0)
SQUARE = RANDOM.normal(size=(3, 4, 6, 6))
SYMMETRIC = SQUARE + np.swapaxes(SQUARE, -1, -2)
TALL = RANDOM.normal(size=(3, 4, 7, 5))
RIGHT = RANDOM.normal(size=(3, 4, 6))
CLOSE = 1e-12  # a few EPS times the size of the matrices and their condition


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_against_numpy_at_every_depth_of_vmap(depth):
    def at(array):
        return jnp.asarray(array[(0,) * (2 - depth)])

    def batched(function):
        for _ in range(depth):
            function = jax.vmap(function)
        return jax.jit(function)

    values, vectors = batched(eigh)(at(SYMMETRIC))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(at(SYMMETRIC)), atol=CLOSE)
    whole = jnp.einsum("...ij,...j,...kj->...ik", vectors, values, vectors)
    np.testing.assert_allclose(whole, at(SYMMETRIC), atol=CLOSE)
    np.testing.assert_allclose(batched(eigvalsh)(at(SYMMETRIC)), values, atol=CLOSE)
    left, singular, right = batched(svd)(at(TALL))
    np.testing.assert_allclose(singular, np.linalg.svd(at(TALL))[1], atol=CLOSE)
    np.testing.assert_allclose((left * singular[..., None, :]) @ right, at(TALL), atol=CLOSE)
    found = batched(solve)(at(SQUARE), at(RIGHT))
    truth = np.linalg.solve(at(SQUARE), np.asarray(at(RIGHT))[..., None])[..., 0]
    np.testing.assert_allclose(found, truth, rtol=1e-10)


def test_what_is_not_batched_is_shared():
    found = jax.vmap(solve, in_axes=(None, 0))(jnp.asarray(SQUARE[0, 0]), jnp.asarray(RIGHT[0]))
    truth = np.linalg.solve(SQUARE[0, 0], RIGHT[0].T).T
    np.testing.assert_allclose(found, truth, rtol=1e-10)


def test_on_a_cpu_every_call_is_on_one_matrix():
    """Calls on several matrices wait inside the pool that is to do the work."""
    cpu = jax.devices("cpu")[0]
    text = jax.jit(jax.vmap(eigh)).lower(jax.device_put(SYMMETRIC[0], cpu)).compile().as_text()
    calls = [line for line in text.splitlines() if "lapack_dsyevd" in line]
    assert calls
    shapes = {shape for line in calls for shape in re.findall(r"f64\[([\d,]*)\]", line)}
    assert not any(shape.startswith("4,6") for shape in shapes), shapes
    plain = jax.jit(jax.vmap(jnp.linalg.eigh)).lower(jax.device_put(SYMMETRIC[0], cpu))
    assert "f64[4,6,6]" in plain.compile().as_text()


def test_many_threads_at_once_come_to_an_end():
    run = jax.jit(lambda a: sum(jnp.sum(jax.vmap(eigh)(a + i)[0]) for i in range(4)))
    matrices = jnp.asarray(SYMMETRIC[0])
    jax.block_until_ready(run(matrices))
    threads = [
        threading.Thread(
            target=lambda: [jax.block_until_ready(run(matrices)) for _ in range(50)], daemon=True
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
