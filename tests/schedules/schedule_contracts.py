"""Contract suites: a subclass supplies the object and a slow twin in mpmath."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp

EPS = np.finfo(np.float64).eps


def relative_error(values, truths):
    """Largest |value - truth| / |truth|, with the difference taken in mpmath."""
    pairs = zip(np.asarray(values).ravel(), truths, strict=True)
    return max(float(abs(exact(value) - truth) / abs(truth)) for value, truth in pairs)


class VarianceScheduleContract:
    """`variance` is the object; `times` lie in its domain; the twins map one mpf to one mpf."""

    variance = None
    times = np.geomspace(4e-6, 6400.0, 12)

    def twin_sigma(self, t):
        raise NotImplementedError

    def twin_diffusion(self, t):
        return mp.diff(lambda u: self.twin_sigma(u) ** 2, t, h=t * mp.mpf("1e-20")) / 2

    def twin_integral(self, low, high):
        """mpmath's tanh-sinh quadrature in ln t, over five panels."""

        def rate(u):
            t = mp.exp(u)
            return (self.twin_diffusion(t) / self.twin_sigma(t) ** 2) ** 2 * t

        return mp.quad(rate, mp.linspace(mp.log(low), mp.log(high), 6))

    # exp and log of numbers as large as ln(6400/4e-6) = 21 lose 21 EPS; 40 EPS allows for them.
    def test_sigma_is_the_twin(self):
        truths = [self.twin_sigma(exact(t)) for t in self.times]
        assert relative_error(self.variance.sigma(self.times), truths) < 40 * EPS

    def test_time_inverts_sigma(self):
        again = jax.vmap(self.variance.time)(jax.vmap(self.variance.sigma)(jnp.asarray(self.times)))
        # inverting a power a magnifies the rounding of sigma by 1/a <= 4
        np.testing.assert_allclose(again, self.times, rtol=200 * EPS)

    def test_sigma_increases(self):
        assert np.all(np.diff(jax.vmap(self.variance.sigma)(jnp.asarray(self.times))) > 0)

    def test_diffusion_is_half_the_slope_of_the_variance(self):
        truths = [self.twin_diffusion(exact(t)) for t in self.times]
        assert relative_error(self.variance.diffusion(self.times), truths) < 100 * EPS

    def test_integral_is_the_twin(self):
        low, high = self.times[:-1], self.times[1:]
        truths = [self.twin_integral(exact(a), exact(b)) for a, b in zip(low, high, strict=True)]
        # the width in ln sigma is good to EPS sigma/(difference of sigmas), a factor 20 at most
        assert relative_error(self.variance.squared_ratio_integral(low, high), truths) < 1000 * EPS

    def test_integral_over_the_whole_range_is_the_twin(self):
        low, high = self.times[0], self.times[-1]
        truth = self.twin_integral(exact(low), exact(high))
        assert relative_error(self.variance.squared_ratio_integral(low, high), [truth]) < 1e-12

    def test_integral_adds_up(self):
        parts = self.variance.squared_ratio_integral(self.times[:-1], self.times[1:])
        whole = self.variance.squared_ratio_integral(self.times[0], self.times[-1])
        np.testing.assert_allclose(jnp.sum(parts), whole, rtol=1e-12)

    def test_jits_and_keeps_shapes(self):
        grid = jnp.asarray(self.times).reshape(3, 4)
        assert self.variance.diffusion(grid).shape == (3, 4)
        jitted = eqx.filter_jit(lambda variance, t: variance.diffusion(t))
        # a compiled function may fuse multiplications
        np.testing.assert_allclose(
            jitted(self.variance, grid), self.variance.diffusion(grid), rtol=100 * EPS
        )


class TimeScheduleContract:
    """`time` is the object; `twin` maps fraction j/N and two ends, all mpf, to one time."""

    time = None
    steps = 9
    ends = (0.002, 80.0)

    def twin(self, fraction, low, high):
        raise NotImplementedError

    def test_times_are_the_twin(self):
        low, high = (exact(end) for end in self.ends)
        truths = [self.twin(mp.mpf(j) / self.steps, low, high) for j in range(self.steps + 1)]
        # powers up to 7 and logarithms up to 21 magnify rounding; 60 EPS allows for them
        assert relative_error(self.time(self.steps, *self.ends), truths) < 60 * EPS

    def test_ends_are_exact(self):
        times = self.time(self.steps, *self.ends)
        assert times[0] == self.ends[0]
        assert times[-1] == self.ends[1]

    def test_times_increase(self):
        assert np.all(np.diff(self.time(self.steps, *self.ends)) > 0)

    def test_ends_in_the_wrong_order_are_refused(self):
        with pytest.raises(ValueError, match=r"t_low = .* below t_high .*swap"):
            self.time(self.steps, self.ends[1], self.ends[0])

    def test_no_steps_are_refused(self):
        with pytest.raises(ValueError, match=r"steps = 0: .* at least 1; give an integer"):
            self.time(0, *self.ends)

    def test_vmaps_over_the_ends(self):
        lows, highs = jnp.full(3, self.ends[0]), jnp.full(3, self.ends[1])
        batch = jax.vmap(lambda low, high: self.time(self.steps, low, high))(lows, highs)
        alone = self.time(self.steps, *self.ends)
        # compiled in a batch, a power or a logarithm may round otherwise
        np.testing.assert_allclose(batch, jnp.stack([alone] * 3), rtol=100 * EPS)


class ScheduleContract:
    """`schedule` is the object, `twin_sigma(j)` the noise level of forward index j as an mpf."""

    schedule = None
    tolerance = 60 * EPS

    def twin_sigma(self, j):
        raise NotImplementedError

    def test_sigmas_are_the_twin(self):
        truths = [self.twin_sigma(j) for j in range(self.schedule.steps + 1)]
        assert relative_error(self.schedule.forward_sigmas, truths) < self.tolerance

    def test_times_and_sigmas_agree(self):
        sigmas = jax.vmap(self.schedule.variance.sigma)(self.schedule.forward_times)
        np.testing.assert_allclose(sigmas, self.schedule.forward_sigmas, rtol=60 * EPS)

    def test_backward_is_forward_reversed(self):
        for name in ("times", "sigmas", "variances", "diffusions", "time_steps", "variance_steps"):
            forward = getattr(self.schedule, f"forward_{name}")
            backward = getattr(self.schedule, f"backward_{name}")
            np.testing.assert_array_equal(backward, forward[::-1])

    def test_backward_begins_with_the_largest_noise(self):
        assert np.all(np.diff(self.schedule.backward_sigmas) < 0)
        assert np.all(np.diff(self.schedule.backward_times) < 0)

    def test_variance_steps_do_not_cancel(self):
        sigmas = [exact(s) for s in np.asarray(self.schedule.backward_sigmas)]
        truths = [(a - b) * (a + b) for a, b in itertools.pairwise(sigmas)]
        # one difference (exact for close levels), one sum, one product
        assert relative_error(self.schedule.backward_variance_steps, truths) < 4 * EPS

    def test_time_steps_are_the_differences(self):
        times = np.asarray(self.schedule.forward_times)
        expected = [times[j] - times[j - 1] for j in range(1, times.size)]
        np.testing.assert_array_equal(self.schedule.forward_time_steps, expected)

    def test_passes_through_jit(self):
        steps = jax.jit(lambda schedule: schedule.backward_variance_steps)(self.schedule)
        # a compiled function may fuse multiplications
        np.testing.assert_allclose(steps, self.schedule.backward_variance_steps, rtol=4 * EPS)
