"""Laws of guided samplers: the density on the line and in the plane against particles."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import design_space as ds
from design_space.sampling.density_law import data_density, density_law
from design_space.sampling.plane_law import plane_law
from design_space.sampling.simulate import simulate

LINE = ds.LabeledMixture(
    ds.GaussianMixture.isotropic([0.4, 0.3, 0.3], [[-1.0], [1.0], [2.5]], [0.5, 0.4, 0.3]),
    [0, 1, 1],
)
PLANE = ds.LabeledMixture(
    ds.GaussianMixture.isotropic([0.4, 0.3, 0.3], [[-1.0, 0.0], [1.0, 0.3], [0.5, 2.0]], 0.5),
    [0, 1, 1],
)
SCHEDULE = ds.edm(8, sigma_min=0.1, sigma_max=10.0)
FINE = ds.edm(24, sigma_min=0.1, sigma_max=10.0)  # maps without noise do not fold
CHURN = ds.Churn(2.0, 0.0, float("inf"), 1.0)
SURE = 5.2  # standard errors: exceeded once in 5e6 times


def shares_by_density(score, stepper, edges, schedule):
    """Mass of the law between the edges, by the trapezoid rule on its grid."""
    density = density_law(score, stepper.moves(schedule))
    x, q = density.grid.points(), np.exp(density.log_values)
    total = np.concatenate([[0], np.cumsum((q[1:] + q[:-1]) / 2) * density.grid.spacing])
    assert total[-1] == pytest.approx(1, abs=1e-7)
    return np.diff(np.interp(edges, x, total))


def check_shares(shares, counts):
    """Counts of cells are binomial around the shares."""
    total = np.sum(counts)
    spread = np.sqrt(total * shares * (1 - shares)) + 1
    # masses between grid points are interpolated, to 1e-5
    assert np.all(np.abs(counts - total * shares) < SURE * spread + 1e-5 * total)


def check_line(score, stepper, count, schedule=SCHEDULE):
    edges = np.array([-30.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 40.0])
    found = simulate(score, schedule, jax.random.key(3), count=count, dim=1, stepper=stepper)
    counts = np.histogram(np.asarray(found.particles)[:, 0], edges)[0]
    assert np.sum(counts) == count
    check_shares(shares_by_density(score, stepper, edges, schedule), counts)


def test_the_line_by_some_particles():
    check_line(ds.guided_exact(LINE, 1, 2.5), ds.Frozen(), 40_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stepper",
    [ds.Frozen(), ds.Ancestral(), ds.FlowHeun(), CHURN],
    ids=["frozen", "ancestral", "heun", "churn"],
)
@pytest.mark.parametrize(
    "given",
    [{"strength": 2.5}, {"strength": 4.0, "interval": (0.3, 3.0)}],
    ids=["everywhere", "interval"],
)
def test_the_line_by_a_million_particles(stepper, given):
    check_line(ds.guided_exact(LINE, 1, **given), stepper, 1_000_000, FINE)


@pytest.mark.slow
@pytest.mark.parametrize("stepper", [ds.Frozen(), CHURN], ids=["frozen", "churn"])
@pytest.mark.parametrize("label", [0, 1])
def test_the_plane_by_a_million_particles(label, stepper):
    score, target = ds.guided_exact(PLANE, label, 2.5), PLANE.given(label)
    start = float(FINE.backward_variances[0])
    density = plane_law(score, stepper.moves(FINE), start, target.components())
    edges = [np.array([-7, -1.6, -1, 0.5, 1, 1.5, 7]), np.array([-7, -0.5, 0, 0.5, 1.5, 2, 7])]
    nodes, weights = np.polynomial.legendre.leggauss(40)  # a cell is 15 standard deviations at most
    half = [np.diff(e)[:, None] / 2 for e in edges]
    axes = [(e[:-1, None] + h * (nodes + 1)).ravel() for e, h in zip(edges, half, strict=True)]
    along = [(h * weights).ravel() for h in half]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    q = density(x).reshape(6, 40, 6, 40)
    shares = np.einsum("iajb,ia,jb->ij", q, *(a.reshape(6, 40) for a in along))
    assert shares.sum() == pytest.approx(1, abs=1e-6)
    made = simulate(score, FINE, jax.random.key(5), count=1_000_000, dim=2, stepper=stepper)
    check_shares(shares.clip(0), np.histogram2d(*np.asarray(made.particles).T, bins=edges)[0])


def test_the_budget_of_a_guided_sampler_on_the_line():
    """E_S by an integral of (w - 1)^2 |s_c - s_u|^2, and the marginal KL by the density."""
    score, target = ds.guided_exact(LINE, 0, 3.0), LINE.given(0)
    found = ds.evaluate(target, SCHEDULE, score)
    x = np.linspace(-60, 60, 40_001)[:, None]
    sigmas = np.asarray(SCHEDULE.backward_sigmas)
    total = 0.0
    for sigma, after in itertools.pairwise(sigmas):
        own, other = (
            np.asarray(jax.vmap(lambda y, t=t, v=sigma**2: t.score(y, v))(jnp.asarray(x)))[:, 0]
            for t in (target, LINE.mixture)
        )
        density = stats.norm(-1.0, np.sqrt(0.25 + sigma**2)).pdf(x[:, 0])
        square = np.sum(density * (own - other) ** 2) * (x[1, 0] - x[0, 0])
        total += 0.5 * (sigma**2 - after**2) * 4 * square
    assert float(found.score.value) == pytest.approx(total, rel=1e-6)
    assert found.score.method == found.marginal_kl.method == "quadrature"
    density = density_law(score, ds.Frozen().moves(SCHEDULE))
    y = density.grid.points()
    log_p = stats.norm(-1.0, np.sqrt(0.25 + sigmas[-1] ** 2)).logpdf(y)
    kl = np.sum(np.exp(log_p) * (log_p - density.log_values)) * density.grid.spacing
    assert float(found.marginal_kl.value) == pytest.approx(kl, rel=1e-6)


@pytest.mark.slow
def test_metrics_in_the_plane_are_those_of_the_density():
    """One Gaussian class reduces to a line, its guidance does not: the plane's density serves."""
    score, target = ds.guided_exact(PLANE, 0, 2.5), PLANE.given(0)
    found = ds.sampler_metrics(target, SCHEDULE, score)
    for name in ("marginal_kl", "total_variation", "mean", "covariance"):
        assert getattr(found, name).method == "quadrature", name
    made = simulate(score, SCHEDULE, jax.random.key(6), count=200_000, dim=2).mean()
    off = np.abs(np.asarray(made.value - found.mean.value))
    assert np.all(off < 2.1 * np.asarray(made.error) + np.asarray(found.mean.error))


def test_a_sampler_that_starts_from_the_law_itself():
    """Frozen steps of one Gaussian, from N(m, s^2 + v_0): the affine recursion in NumPy."""
    target = LINE.given(0)
    v = np.asarray(SCHEDULE.backward_variances)
    density = density_law(
        ds.exact_score(target), ds.Frozen().moves(SCHEDULE), start=data_density(target, v[0])
    )
    variance = 0.25 + v[0]
    for now, after in itertools.pairwise(v):
        variance = ((0.25 + after) / (0.25 + now)) ** 2 * variance + now - after
    x = density.grid.points()
    truth = stats.norm(-1.0, np.sqrt(variance)).logpdf(x)
    near = truth > -30
    np.testing.assert_allclose(density.log_values[near], truth[near], atol=1e-8)
    two = data_density(LINE.mixture, 0.04)
    mass = np.exp(two.log_values) * two.grid.spacing
    assert mass.sum() == pytest.approx(1, rel=1e-13)
    assert mass @ two.grid.points() == pytest.approx(-0.4 + 0.3 + 0.75, rel=1e-12)
