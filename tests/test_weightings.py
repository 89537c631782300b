import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference.precision import exact, mp

from design_space import weightings
from design_space.schedules.named import edm, schedule, song
from design_space.schedules.variance import Power

STEPS = 6
SCHEDULES = {
    "edm": edm(STEPS),
    "song": song(STEPS),
    "fourth root": schedule(Power(0.25), "uniform", steps=STEPS, sigma_min=0.1, sigma_max=4.0),
}
WEIGHTINGS = {
    "edm": weightings.edm_weighting(),
    "edm pointwise": weightings.edm_weighting().pointwise(),
    "uniform": weightings.uniform(),
    "song": weightings.song(),
    "min snr": weightings.min_snr(),
    "p2": weightings.p2(0.5, 2.0),
    "printed": weightings.from_w_printed(lambda t: t**2),
    "corrected": weightings.from_w_corrected(lambda t: t**2),
    "from edm": weightings.from_edm(lambda s: 1 / s, lambda s: 1 / s**2, "log_snr"),
    "velocity": weightings.from_snr_weight(lambda snr: 1 / (1 + snr), "velocity"),
    "custom": weightings.CustomWeighting([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
}
levels = st.sampled_from(sorted(SCHEDULES)).map(SCHEDULES.get)
totals = arrays(np.float64, STEPS, elements=st.floats(1e-6, 1e6))
NEAR = {"rtol": 1e-14}  # a handful of roundings
BELL = {"rtol": 1e-13}  # the exponent (ln s + 1.2)^2/2.88 is up to 11 and carries its own rounding


@pytest.mark.parametrize("grid", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("weighting", WEIGHTINGS.values(), ids=WEIGHTINGS)
class TestContract:
    def test_one_nonnegative_weight_per_level(self, weighting, grid):
        beta = weighting.total(grid)
        assert beta.shape == (STEPS,)
        assert beta.dtype == jnp.float64
        assert np.all(np.asarray(beta) >= 0)

    def test_enters_jit(self, weighting, grid):
        beta = jax.jit(lambda w, s: w.total(s))(weighting, grid)
        np.testing.assert_allclose(beta, weighting.total(grid), **BELL)

    def test_conversions_to_a_convention_and_back(self, weighting, grid):
        beta = np.asarray(weighting.total(grid))
        times, sigmas = grid.forward_times[1:], grid.forward_sigmas[1:]

        def through(values, nodes):
            return lambda x: values[jnp.argmin(jnp.abs(nodes - x))]

        def p_train(sigma):
            return 1 / sigma

        w = weightings
        back = [
            w.from_w_printed(through(w.to_w_printed(weighting, grid), times)),
            w.from_w_corrected(through(w.to_w_corrected(weighting, grid), times)),
            w.from_edm(
                lambda s: 1 / s, through(w.to_edm(weighting, grid, lambda s: 1 / s), sigmas)
            ),
            w.from_snr_weight(through(w.to_snr_weight(weighting, grid), 1 / sigmas**2)),
        ]
        for again in back:
            np.testing.assert_allclose(again.total(grid), beta, **NEAR)


def bell(sigma):
    """beta_EDM with the standard numbers, in mpmath."""
    mean, std, data = exact(-1.2), exact(1.2), exact(0.5)
    s = exact(sigma)
    return mp.exp(-((mp.log(s) - mean) ** 2) / (2 * std**2)) * (s**2 + data**2) / (s * data**2)


def test_edm_bell_is_the_formula_of_the_paper():
    grid = edm(STEPS)
    expected = [float(bell(s)) for s in np.asarray(grid.forward_sigmas[1:])]
    np.testing.assert_allclose(weightings.edm_weighting().pointwise().total(grid), expected, **BELL)


def test_as_a_density_edm_includes_the_increment_of_sigma():
    grid = song(STEPS)
    sigmas = [exact(s) for s in np.asarray(grid.forward_sigmas)]
    expected = [float(bell(sigmas[j]) * (sigmas[j] - sigmas[j - 1])) for j in range(1, STEPS + 1)]
    np.testing.assert_allclose(weightings.edm_weighting().total(grid), expected, **BELL)


@pytest.mark.parametrize(
    ("measure", "jacobian"), [("sigma", 1.0), ("log_sigma", 1.0), ("log_snr", 0.5)]
)
def test_edm_bell_is_edms_loss(measure, jacobian):
    """p_train log-normal, lambda = (s^2 + sd^2)/(s sd)^2, in each measure, up to Z."""

    def normal(s):
        z = (jnp.log(s) + 1.2) / 1.2
        return jnp.exp(-0.5 * z**2) / (1.2 * np.sqrt(2 * np.pi))

    def density(s):
        return normal(s) / s if measure == "sigma" else jacobian * normal(s)

    def loss_weight(s):
        return (s**2 + 0.25) / (0.5 * s) ** 2

    # All measures integrate to the same thing; the sums differ by O(step), ln(1000)/20000.
    fine = song(20000, 0.01, 10.0)
    whole = jnp.sum(weightings.from_edm(density, loss_weight, measure).total(fine))
    bell_sum = jnp.sum(weightings.edm_weighting().total(fine)) / (1.2 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(whole, bell_sum, rtol=1e-3)
    if measure == "sigma":
        again = weightings.from_edm(density, loss_weight).total(fine) * 1.2 * np.sqrt(2 * np.pi)
        np.testing.assert_allclose(again, weightings.edm_weighting().total(fine), **BELL)


def test_from_edm_is_the_denoising_loss():
    """E|D - X_0|^2 lambda p equals beta E|sigma S + xi|^2, by simulation of the definition."""
    grid, rng = edm(3), np.random.default_rng(0)
    x0, xi = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    loss_edm = 0.0
    loss_beta = 0.0
    lengths = np.diff(np.asarray(grid.forward_sigmas))
    beta = weightings.from_edm(lambda s: 1 / (1 + s), lambda s: 2 + s).total(grid)
    for j, s in enumerate(np.asarray(grid.forward_sigmas[1:])):
        x = x0 + s * xi
        score = -0.3 * x  # any function of x
        denoised = x + s**2 * score
        loss_edm += lengths[j] / (1 + s) * (2 + s) * np.mean(np.sum((denoised - x0) ** 2, -1))
        loss_beta += beta[j] * np.mean(np.sum((s * score + xi) ** 2, -1))
    np.testing.assert_allclose(loss_beta, loss_edm, **BELL)


@pytest.mark.parametrize("space", ["noise", "data", "velocity"])
def test_from_snr_weight_is_the_loss_of_its_space(space):
    """Errors of a variance-preserving network, alpha^2 = 1/(1 + v), from one set of draws."""
    grid, rng = song(4), np.random.default_rng(1)
    x0, xi, guess = rng.normal(size=(3, 40))
    beta = weightings.from_snr_weight(lambda snr: 1 / (2 + snr), space).total(grid)
    for j, s in enumerate(np.asarray(grid.forward_sigmas[1:])):
        alpha, scale = 1 / np.sqrt(1 + s**2), s / np.sqrt(1 + s**2)
        x = alpha * x0 + scale * xi
        data_hat = (x - scale * guess) / alpha  # `guess` is the predicted noise
        errors = {
            "noise": guess - xi,
            "data": data_hat - x0,
            "velocity": (alpha * guess - scale * data_hat) - (alpha * xi - scale * x0),
        }
        expected = np.mean(errors[space] ** 2) / (2 + 1 / s**2)
        # x_hat - x0 at small s is a difference of close numbers: EPS/s = 1e-13
        np.testing.assert_allclose(beta[j] * np.mean((guess - xi) ** 2), expected, rtol=1e-11)


def test_song_on_its_own_grid_is_uniform():
    beta = weightings.song().total(song(STEPS))
    np.testing.assert_allclose(beta, np.log(80 / 0.002) / STEPS, rtol=1e-13)


def test_min_snr_and_p2_at_chosen_levels():
    grid = schedule("linear", "uniform", steps=2, sigma_min=0.25, sigma_max=0.75)
    snr = [4.0, 16 / 9]
    np.testing.assert_allclose(weightings.min_snr(2.0).total(grid), [0.5, 1.0], **NEAR)
    expected = [(1 + x) ** -0.5 for x in snr]
    np.testing.assert_allclose(weightings.p2(0.5).total(grid), expected, **NEAR)


def test_log_snr_doubles_the_increment_of_log_sigma():
    grid = edm(STEPS)
    in_sigma = weightings.DensityWeighting(jnp.ones_like, "log_sigma").total(grid)
    in_snr = weightings.DensityWeighting(jnp.ones_like, "log_snr").total(grid)
    np.testing.assert_array_equal(in_snr, 2 * in_sigma)
    log_snr = [-2 * mp.log(exact(s)) for s in np.asarray(grid.forward_sigmas)]
    expected = [float(log_snr[j - 1] - log_snr[j]) for j in range(1, STEPS + 1)]
    np.testing.assert_allclose(in_snr, expected, **NEAR)


def test_printed_and_corrected_factors_agree_only_where_sigma_is_one():
    grid = schedule("linear", "uniform", steps=4, sigma_min=0.5, sigma_max=1.5)
    printed = weightings.from_w_printed(jnp.ones_like).total(grid)
    corrected = weightings.from_w_corrected(jnp.ones_like).total(grid)
    np.testing.assert_allclose(printed / corrected, [0.75, 1.0, 1.25, 1.5], **NEAR)


def test_corrected_factor_keeps_score_matching_up_to_a_constant():
    """Data N(0, 1), scores -a x: losses of both kinds differ by the same amount, unless printed."""
    grid = edm(3, 0.5, 3.0)
    times, sigmas = np.asarray(grid.forward_times), np.asarray(grid.forward_sigmas[1:])
    v, dt = sigmas**2, np.diff(times)

    def matching(a):  # w = 1
        return np.sum(dt * (1 + v) * (a - 1 / (1 + v)) ** 2)

    def denoising(a, beta):  # E|-sigma a X + xi|^2 = v a^2 (1 + v) - 2 v a + 1
        return np.sum(beta * (v * a**2 * (1 + v) - 2 * v * a + 1))

    difference = matching(0.7) - matching(0.1)
    corrected = np.asarray(weightings.from_w_corrected(jnp.ones_like).total(grid))
    printed = np.asarray(weightings.from_w_printed(jnp.ones_like).total(grid))
    gap = denoising(0.7, corrected) - denoising(0.1, corrected)
    np.testing.assert_allclose(gap, difference, rtol=1e-12)  # sums of a few numbers of order one
    assert abs(denoising(0.7, printed) - denoising(0.1, printed) - difference) > 0.1


@given(grid=levels, beta=totals)
def test_custom_conversions_invert(grid, beta):
    weighting = weightings.CustomWeighting(beta)
    sigmas, dt = grid.forward_sigmas[1:], grid.forward_time_steps
    printed = weightings.to_w_printed(weighting, grid) * dt / sigmas
    corrected = weightings.to_w_corrected(weighting, grid) * dt / sigmas**2
    np.testing.assert_allclose(printed, beta, **NEAR)
    np.testing.assert_allclose(corrected, beta, **NEAR)
    for space, factor in (("noise", 1.0), ("data", sigmas**2), ("velocity", 1 + sigmas**2)):
        back = weightings.to_snr_weight(weighting, grid, space) * factor
        np.testing.assert_allclose(back, beta, **NEAR)


def test_numbers_may_be_batched():
    grid = edm(STEPS)
    means = jnp.array([-1.2, 0.0])
    batch = jax.vmap(lambda m: weightings.edm_weighting(m, 1.2, 0.5).total(grid))(means)
    np.testing.assert_allclose(batch[0], weightings.edm_weighting().total(grid), **BELL)
    stacked = eqx.filter_vmap(weightings.min_snr)(jnp.array([1.0, 5.0]))
    both = eqx.filter_vmap(lambda w: w.total(grid))(stacked)
    np.testing.assert_allclose(both[1], weightings.min_snr(5.0).total(grid), **NEAR)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: weightings.edm_weighting(p_std=0.0), r"p_std = 0.0: must be above 0; give"),
        (lambda: weightings.edm_weighting(sigma_data=-1.0), r"sigma_data = -1.0: must be above 0"),
        (lambda: weightings.edm_weighting(p_mean=float("nan")), r"p_mean = nan: must be finite"),
        (lambda: weightings.min_snr(0.0), r"gamma = 0.0: must be above 0; give a positive"),
        (lambda: weightings.p2(-1.0), r"gamma = -1.0: must be at least 0; give"),
        (lambda: weightings.p2(1.0, 0.0), r"k = 0.0: must be above 0; give a positive"),
        (lambda: weightings.CustomWeighting([1.0, -1.0]), r"values = .*non-negative; check"),
        (lambda: weightings.CustomWeighting([float("inf")]), r"values = .*finite; remove"),
        (
            lambda: weightings.CustomWeighting([1.0, 2.0]).total(edm(3)),
            r"values = 2: must be the dimension of schedule.steps, 3; make them agree",
        ),
        (
            lambda: weightings.DensityWeighting(jnp.ones_like, "time"),
            r"measure = 'time': must be one of log_sigma, log_snr, sigma; choose",
        ),
        (
            lambda: weightings.from_snr_weight(jnp.ones_like, "score"),
            r"space = 'score': must be one of data, noise, velocity; choose",
        ),
        (
            lambda: weightings.to_snr_weight(weightings.uniform(), edm(3), "score"),
            r"space = 'score': must be one of data, noise, velocity; choose",
        ),
    ],
)
def test_bad_input_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
