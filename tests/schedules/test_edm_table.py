"""The designs of EDM's Table 1 against their formulas in sixty digits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp
from schedule_contracts import EPS, ScheduleContract, VarianceScheduleContract, relative_error

from design_space.schedules.edm_table import IDDPM_LEVELS, iddpm, vp
from design_space.schedules.named import edm
from design_space.schedules.scale import PreservingScale, UnitScale
from design_space.schedules.variance import Preserving

BETA_D, BETA_MIN = exact(19.9), exact(0.1)


def vp_sigma(t, beta_d=BETA_D, beta_min=BETA_MIN):
    """The schedule of the VP column."""
    return mp.sqrt(mp.exp(beta_d * t**2 / 2 + beta_min * t) - 1)


class TestPreserving(VarianceScheduleContract):
    variance = Preserving()
    times = np.geomspace(1e-5, 1.0, 12)

    def twin_sigma(self, t):
        return vp_sigma(t)

    def twin_diffusion(self, t):
        """Half of d(exp(B) - 1)/dt, B' = beta."""
        return (BETA_D * t + BETA_MIN) * mp.exp(BETA_D * t**2 / 2 + BETA_MIN * t) / 2


class TestVp(ScheduleContract):
    schedule = vp(17)
    # sigma = exp(B/2) at large t carries the rounding of B = 10; at the small end, that of t
    tolerance = 40 * EPS

    def twin_sigma(self, j):
        """Steps of Table 1, t_i = 1 + i/(n - 1) (eps_s - 1), with n = N + 1 and i from above."""
        return vp_sigma(1 + mp.mpf(17 - j) / 17 * (exact(1e-3) - 1))

    def test_the_ends_are_those_of_the_table(self):
        # Karras et al.: 0.015 to 152 in round numbers
        sigmas = np.asarray(self.schedule.backward_sigmas)
        assert sigmas[0] == pytest.approx(152, abs=0.5)
        assert float(vp(3, t_min=1e-5).backward_sigmas[-1]) == pytest.approx(0.001, rel=0.01)

    def test_the_scale_preserves_the_variance(self):
        sigmas = np.asarray(self.schedule.backward_sigmas)
        scales = self.schedule.scale.value(sigmas)
        truths = [1 / mp.sqrt(1 + exact(s) ** 2) for s in sigmas]
        assert relative_error(scales, truths) < 4 * EPS
        # S = exp(-B/2): the signal of the process, B the integral of beta
        signals = [
            mp.exp(-(BETA_D * exact(t) ** 2 / 2 + BETA_MIN * exact(t)) / 2)
            for t in np.asarray(self.schedule.backward_times)
        ]
        assert relative_error(scales, signals) < 40 * EPS

    def test_the_slope_of_the_scale(self):
        sigmas = np.geomspace(1e-4, 1e3, 9)
        truths = [-exact(s) / mp.sqrt(1 + exact(s) ** 2) ** 3 for s in sigmas]
        assert relative_error(PreservingScale().slope(sigmas), truths) < 8 * EPS

    def test_other_numbers_and_traced_ones(self):
        found = vp(3, beta_d=5.0, beta_min=0.5, t_min=0.1, t_max=2.0)
        truths = [
            vp_sigma(exact(0.1) + (2 - exact(0.1)) * mp.mpf(j) / 3, exact(5.0), exact(0.5))
            for j in range(4)
        ]
        assert relative_error(found.forward_sigmas, truths) < 40 * EPS
        traced = jax.jit(lambda b: vp(3, b, 0.5, 0.1, 2.0).forward_sigmas)(5.0)
        np.testing.assert_allclose(traced, found.forward_sigmas, rtol=40 * EPS)


def test_other_designs_have_the_scale_one():
    scale = edm(3).scale
    assert isinstance(scale, UnitScale)
    sigmas = jnp.array([0.1, 3.0])
    np.testing.assert_array_equal(scale.value(sigmas), [1.0, 1.0])
    np.testing.assert_array_equal(scale.slope(sigmas), [0.0, 0.0])
    assert eqx.tree_equal(scale, UnitScale())


@pytest.fixture(scope="module")
def grid():
    """u_0, ..., u_{M-1} by the recursion of Table 1, in sixty digits."""
    m, c_1, c_2 = 1000, exact(0.001), exact(0.008)
    kept = [mp.sin(mp.pi / 2 * mp.mpf(j) / (m * (c_2 + 1))) ** 2 for j in range(m + 1)]
    u = [mp.zero] * (m + 1)
    for j in range(m, 0, -1):
        u[j - 1] = mp.sqrt((u[j] ** 2 + 1) / max(kept[j - 1] / kept[j], c_1) - 1)
    return u[:-1]


@pytest.mark.parametrize(("steps", "first"), [(17, 8), (991, 8), (1, 0), (999, 0)])
def test_the_grid_of_iddpm(grid, steps, first):
    found = iddpm(steps, first)
    last = IDDPM_LEVELS - 1
    places = [
        int(mp.floor(first + mp.mpf(last - first) / steps * i + mp.mpf("0.5")))
        for i in range(steps + 1)
    ]
    assert places[0] == first
    assert places[-1] == last
    truths = [grid[place] for place in places]
    # 1,000 products of ratios near 1, each rounded, and u^2 + 1 - 1 for u = 0.0064: 1000 EPS / u^2
    # at worst; the sums of roundings are far below that
    assert relative_error(found.backward_sigmas, truths) < 1e-10
    np.testing.assert_array_equal(found.backward_times, found.backward_sigmas)


def test_the_largest_level_of_iddpm_is_the_tables():
    """Karras et al., Table 1: j_0 = 8 is sigma_max = 80.2; j_0 = 0 is some 20,000."""
    assert float(iddpm(5).backward_sigmas[0]) == pytest.approx(80.204, rel=1e-4)
    assert float(iddpm(5, 0).backward_sigmas[0]) == pytest.approx(20_300, rel=0.01)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: vp(0), r"steps = 0: .*at least 1"),
        (lambda: vp(3, beta_d=0.0), r"beta_d = 0\.0: must be .*above 0"),
        (lambda: vp(3, beta_min=-1.0), r"beta_min = -1\.0: must be .*above 0"),
        (lambda: vp(3, t_min=0.0), r"t_min = 0\.0: must be .*above 0"),
        (lambda: vp(3, t_max=np.nan), r"t_max = nan: must be .*finite"),
        (lambda: vp(3, t_min=2.0), r"t_min = 2\.0: must be below t_max"),
        (lambda: iddpm(0), r"steps = 0: .*at least 1"),
        (lambda: iddpm(992), r"steps = 992: must be at most 991"),
        (lambda: iddpm(1, 999), r"first = 999: must be at most 998"),
        (lambda: iddpm(3, -1), r"first = -1: .*at least 0"),
    ],
)
def test_numbers_out_of_their_domain_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
