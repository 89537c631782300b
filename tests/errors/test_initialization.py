"""E_I of mixtures on the line by quadrature, for every ratio of noise to data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.mixture import Mixture
from reference.precision import exact, mp

from design_space.errors.initialization import initialization_error
from design_space.targets.mixture import GaussianMixture

LAWS = {
    "two modes": ([0.3, 0.7], [-1.0, 1.0], [0.04, 0.25]),
    "two points": ([0.5, 0.5], [-1.0, 1.0], [0.0, 0.0]),
    "far from zero": ([0.5, 0.5], [30.0, 31.0], [1.0, 0.5]),
    "wide and narrow": ([0.9, 0.1], [0.0, 0.5], [9.0, 1e-4]),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("sigma", [0.05, 0.7, 5.0, 80.0, 5000.0])
def test_against_quadrature(name, sigma):
    weights, means, variances = LAWS[name]
    target = GaussianMixture.diagonal(
        weights, np.array(means)[:, None], np.array(variances)[:, None]
    )
    found = initialization_error(target, jnp.asarray(sigma) ** 2, jax.random.key(0), 64)
    dps, mp.dps = mp.dps, 30  # E_I is down to 1e-15, and p log(p/g) cancels
    try:
        truth = Mixture(*LAWS[name]).initialization([exact(sigma) ** 2])
    finally:
        mp.dps = dps
    off = float(abs(exact(float(found.value)) - truth))
    assert off <= float(found.error)
    assert off <= 1e-10 * float(truth)
