"""Which way gives the marginal KL and W2 of a sampler, and what each way finds."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.errors.marginal import marginal_errors, square_root
from design_space.sampling.flows import FlowEuler
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import Ancestral
from design_space.schedules.named import edm
from design_space.scores.exact import exact_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

KEY = jax.random.key(2)
GRID = edm(4, 0.3, 4.0)
PLANE = GaussianMixture(
    [0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [np.diag([0.3, 0.5]), [[0.4, 0.1], [0.1, 0.3]]]
)
# Modes along the first axis times a Gaussian that is not round: it does not reduce to a line.
WEIGHTS, MEANS, SHAPE = [0.4, 0.6], np.array([[-1.0, 0, 0], [1.0, 0, 0]]), np.diag([0.3, 0.5, 0.9])
SPACE = GaussianMixture(WEIGHTS, MEANS, [SHAPE, SHAPE])


def marginals(target, stepper, samples, score=None):
    score = exact_score(target) if score is None else score
    return marginal_errors(target, GRID, score, KEY, samples, stepper)


def histogram_kl(target, stepper, draws=2_000_000):
    """KL(p | q) from counts of q in cells of the plane and the mass of p at their middles.

    Few cells: the KL of what the cells see is below the whole, and nearly it for smooth laws.
    """
    run = {"count": draws, "dim": 2, "stepper": stepper}
    made = np.asarray(simulate(exact_score(target), GRID, KEY, **run).particles)
    edges = np.linspace(-6, 6, 61)
    counts, _, _ = np.histogram2d(made[:, 0], made[:, 1], bins=(edges, edges))
    fine = np.linspace(-6, 6, 241)[:-1] + 0.025  # four by four points per cell
    points = np.stack(np.meshgrid(fine, fine, indexing="ij"), axis=-1).reshape(-1, 2)
    v = float(GRID.backward_variances[-1])
    density = np.exp(np.asarray(jax.vmap(lambda x: target.log_density(x, v))(jnp.asarray(points))))
    mass = density.reshape(60, 4, 60, 4).sum(axis=(1, 3)) * 0.05**2
    share = (counts + 0.5) / (draws + 0.5 * counts.size)
    return np.sum(mass * np.log(mass / share))


@pytest.mark.slow  # some 10 s of plane densities for each sampler
@pytest.mark.parametrize("stepper", [FlowEuler(), Ancestral(1.0)], ids=["flow", "noise"])
def test_a_mixture_in_the_plane_has_its_kl_by_the_density(stepper):
    found = marginals(PLANE, stepper, 1024).marginal_kl
    assert found.method == "quadrature"
    assert float(found.error) < 1e-3 * float(found.value)
    seen = histogram_kl(PLANE, stepper)
    # 3,600 cells of 2e6 draws bias a KL by cells / (2 draws) = 1e-3 at most and spread it by
    # sqrt(2 KL / draws) = 1e-3; what cells of 0.2 under deviations of 0.6 hide is
    # (0.2 / 0.6)^2 / 12 = 1% of the KL or less
    assert float(found.value) == pytest.approx(seen, abs=3e-3 + 0.03 * float(found.value))


@pytest.fixture(scope="module")
def product():
    """KL and W2^2 of SPACE under FlowEuler: both add over the axes, which do not meet."""
    line = GaussianMixture.isotropic(WEIGHTS, MEANS[:, :1], 0.3**0.5)
    along = marginals(line, FlowEuler(), 64)
    across = marginals(Gaussian.diagonal(np.zeros(2), np.array([0.5, 0.9])), FlowEuler(), 64)
    assert along.marginal_kl.method == "quadrature"
    assert across.marginal_kl.method == "closed form"
    kl = along.marginal_kl.value + across.marginal_kl.value
    return float(kl), float(along.w2_squared.value + across.w2_squared.value)


def test_a_flow_in_space_has_a_kl_of_neighbors(product):
    found = marginals(SPACE, FlowEuler(), 8192).marginal_kl
    assert found.method == "monte carlo"
    assert abs(float(found.value) - product[0]) <= 1.6 * float(found.error)  # of a 99 % interval
    assert float(found.error) < product[0]  # it says more than that KL is not below 0
    # never fewer than 512 draws of each law
    few = marginals(SPACE, FlowEuler(), 100).marginal_kl
    assert abs(float(few.value) - product[0]) <= 1.6 * float(few.error)


def test_transport_between_draws_in_space(product):
    pytest.importorskip("ot")
    found = marginals(SPACE, FlowEuler(), 1024).w2_squared
    assert found.method == "monte carlo"
    assert abs(float(found.value) - product[1]) <= 1.6 * float(found.error)
    root = square_root(found)
    assert abs(float(root.value) - product[1] ** 0.5) <= 1.6 * float(root.error)


def test_transport_says_what_it_lacks(monkeypatch):
    few = marginals(SPACE, FlowEuler(), 511).w2_squared
    assert few.method == "unavailable"
    assert "takes at least 512 samples" in few.reason

    def absent():
        raise ValueError("the library is not installed")

    monkeypatch.setattr("design_space.errors.marginal.transport_library", absent)
    none = marginals(SPACE, FlowEuler(), 512).w2_squared
    assert none.method == "unavailable"
    assert "not installed" in none.reason


def test_under_jit_what_is_drawn_says_why_it_is_not_there():
    def traced(stretch):
        parts = SPACE.components()
        target = eqx.tree_at(lambda t: t.parts.means, SPACE, stretch * parts.means)
        found = marginals(target, FlowEuler(), 512)
        reasons.append((found.marginal_kl.reason, found.w2_squared.reason))
        return found.marginal_kl.value

    reasons = []
    assert np.isnan(jax.jit(traced)(1.0))
    assert all("outside jit" in reason for reason in reasons[0])
