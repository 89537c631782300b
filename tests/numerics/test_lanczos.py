from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse.linalg import eigsh

from design_space.numerics.lanczos import largest_eigenvalue


def symmetric(eigenvalues, seed=0):
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
    return (basis * np.asarray(eigenvalues)) @ basis.T


def start(size, seed=1, dtype=np.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=size), dtype)


@partial(jax.jit, static_argnames="steps")
def compiled(matrix, b, steps):
    return largest_eigenvalue(lambda v: matrix @ v, b, steps)


def of(matrix, steps, dtype=np.float64, seed=1):
    return compiled(jnp.asarray(matrix, dtype), start(len(matrix), seed, dtype), steps)


SPECTRA = {
    "positive": np.linspace(0.1, 3.0, 40),
    "mixed signs": np.linspace(-5.0, 2.0, 40),
    "all negative": np.linspace(-5.0, -1.0, 40),
    "rank deficient": np.r_[np.zeros(37), 1.0, 2.0, 4.0],
    "multiple": np.r_[np.ones(33), np.full(7, 2.0)],
    "identity": np.ones(40),
    "wide": np.geomspace(1e-12, 1e6, 40),
    "tiny": 1e-200 * np.linspace(1, 2, 40),
    "one": np.array([-3.0]),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_enough_steps_give_the_largest_eigenvalue(name):
    matrix = symmetric(SPECTRA[name])
    truth = np.linalg.eigvalsh(matrix)[-1]
    found = of(matrix, 100)
    # all steps of a float64 iteration: rounding of products, a few hundred ulp of the norm
    assert abs(float(found.value) - truth) <= 1e-13 * np.max(np.abs(SPECTRA[name]))
    assert abs(float(found.value) - truth) <= float(found.error) + 1e-15 * abs(truth)
    assert float(found.error) <= 1e-11 * np.max(np.abs(SPECTRA[name]))


@pytest.mark.parametrize("name", ["positive", "mixed signs", "rank deficient", "wide"])
def test_single_precision(name):
    matrix = symmetric(SPECTRA[name])
    found = of(matrix, 40, np.float32)
    assert found.value.dtype == jnp.float32
    truth = np.linalg.eigvalsh(matrix)[-1]
    # a few units in the last place of float32, times the square root of the size
    assert abs(float(found.value) - truth) <= 3e-6 * np.max(np.abs(SPECTRA[name]))


def test_a_zero_operator():
    found = largest_eigenvalue(jnp.zeros_like, start(5), 9)
    assert float(found.value) == 0.0
    assert float(found.error) == 0.0


def test_few_steps_stay_below_and_say_how_far():
    random = np.random.default_rng(3)
    half = random.normal(size=(300, 300))
    matrix = half @ half.T
    (truth,) = eigsh(matrix, k=1, which="LA", return_eigenvectors=False)
    values = []
    for steps in (2, 5, 12, 30):
        found = of(matrix, steps, seed=steps)
        values.append(float(found.value))
        assert values[-1] <= truth * (1 + 1e-13)
        eigenvalues = np.linalg.eigvalsh(matrix)
        assert np.min(np.abs(eigenvalues - values[-1])) <= float(found.error)
    assert values == sorted(values)
    assert truth - values[-1] < 1e-6 * truth


def test_reorthogonalization_holds_over_many_steps():
    """Without it, copies of the largest eigenvalue appear; the basis would not be orthogonal."""
    matrix = symmetric(np.r_[np.linspace(0, 1, 197), 50.0, 80.0, 100.0])
    assert abs(float(of(matrix, 200).value) - 100) < 1e-11


def test_it_compiles_and_batches():
    spectra = [np.linspace(0, k + 1.0, 9) for k in range(3)]
    stack = jnp.asarray(np.stack([symmetric(s, seed) for seed, s in enumerate(spectra)]))
    starts = jnp.stack([start(9, seed) for seed in range(3)])

    @jax.jit
    @jax.vmap
    def found(matrix, b):
        return largest_eigenvalue(lambda v: matrix @ v, b, 9)

    np.testing.assert_allclose(found(stack, starts).value, [1.0, 2.0, 3.0], rtol=1e-13)


@pytest.mark.parametrize(
    ("b", "steps", "says"),
    [
        ([0.0, 0.0], 3, "start = 0.0: must be a vector other than zero"),
        ([1.0, np.nan], 3, "start = .* finite"),
        ([1.0, 2.0], 0, "steps = 0"),
    ],
)
def test_refusals(b, steps, says):
    with pytest.raises(ValueError, match=says):
        largest_eigenvalue(lambda v: v, jnp.asarray(b), steps)
