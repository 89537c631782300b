"""Many grids in one call against one evaluation at a time, and grids that suit one sampler."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from analyses.gaussian_samplers import SAMPLERS, Design, errors
from analyses.own_grids import ONE_SIGNED, own_grid
from design_space.evaluate import evaluate
from design_space.optimal.marginal_gaussian import leading_order_sigmas
from design_space.optimal.tangent import tangent
from design_space.schedules.edm_table import vp
from design_space.schedules.named import edm
from design_space.targets.gaussian import Gaussian

LAWS = np.array([[0.25, 0.25], [1.0, 0.1]])
QUICK = ("frozen", "ode-euler", "heun", "churn", "predictor-corrector")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in SAMPLERS]
)
def test_shorter_grids_beside_longer_ones(name):
    grids = [vp(n) if name.endswith("in-time") else edm(n) for n in (4, 11)]
    found = errors(SAMPLERS[name], grids, LAWS)
    for i, grid in enumerate(grids):
        for k, law in enumerate(LAWS):
            target = Gaussian.diagonal(jnp.zeros(2), jnp.asarray(law))
            sampler = SAMPLERS[name](Design(grid, jnp.asarray(float(grid.steps)), target))
            one = evaluate(target, grid, sampler=sampler)
            # no more than rounding of a hundred operations, of laws that may be exact to 1e-9
            assert found.marginal_kl[i, k] == pytest.approx(float(one.marginal_kl.value), rel=1e-11)
            assert found.w2[i, k] == pytest.approx(float(one.w2.value), rel=1e-11)
            path = float(one.path_kl.value)
            assert found.path_kl[i, k] == pytest.approx(path, rel=1e-9, abs=1e-14, nan_ok=True)


def test_own_grids_in_closed_form():
    given = {"data_variance": 0.25, "steps": 40, "low": 0.002, "high": 80.0}
    # the splines leave 1e-10 of a level, more at the ends of the range
    sigmas = own_grid("ode-euler", **given).backward_sigmas
    np.testing.assert_allclose(sigmas, tangent(0.5, 40).backward_sigmas, rtol=1e-6)
    sigmas = own_grid("frozen", **given).backward_sigmas
    np.testing.assert_allclose(sigmas, leading_order_sigmas(0.25, 40, 0.002, 80.0), rtol=1e-6)
    top, bottom = np.sin(np.arctan(np.array([80.0, 0.002]) / 0.5))
    expected = 0.5 * np.tan(np.arcsin(np.linspace(top, bottom, 41)))
    sigmas = own_grid("ancestral", **given).backward_sigmas
    np.testing.assert_allclose(sigmas, expected, rtol=1e-5)


def heun(sigmas):
    """The factor of the standard deviation over the true one."""
    high, low = sigmas[:-1], sigmas[1:]
    first = 1 - (high - low) * high / (0.25 + high**2)
    second = low / (0.25 + low**2) * first
    factor = 1 - (high - low) * (high / (0.25 + high**2) + second) / 2
    return np.sum(np.log(factor**2 * (0.25 + high**2) / (0.25 + low**2)))


def midpoint(sigmas):
    """The same."""
    high, low = sigmas[:-1], sigmas[1:]
    middle = np.sqrt(high * low)
    first = 1 - (high - middle) * high / (0.25 + high**2)
    factor = 1 - (high - low) * middle / (0.25 + middle**2) * first
    return np.sum(np.log(factor**2 * (0.25 + high**2) / (0.25 + low**2)))


@pytest.mark.parametrize("error", [heun, midpoint])
def test_no_grid_near_the_own_one_is_much_better(error):
    """At N = 60 the leading order is the whole but for 1/N."""
    steps = 60
    grid = np.asarray(own_grid(error.__name__, 0.25, steps, 0.05, 10.0).backward_sigmas)
    start = np.log(-np.diff(np.log(grid)))

    def at(z):
        shares = np.exp(z - z.max())
        falls = np.cumsum(shares) / shares.sum() * np.log(200.0)
        return np.log(abs(error(10.0 * np.exp(-np.concatenate([[0.0], falls])))))

    best = minimize(at, start, method="L-BFGS-B", options={"maxiter": 20})
    assert at(start) - best.fun < 0.05
    assert at(start) < at(np.zeros(steps)) - 0.05
    assert error.__name__ in ONE_SIGNED
