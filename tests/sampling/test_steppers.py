"""Every stepper against its algorithm as its authors write it, in NumPy, with the same noise."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.sampling.flows import Churn, FlowEuler, FlowHeun, FlowMidpoint
from design_space.sampling.kinds import STEPPERS
from design_space.sampling.simulate import moved, noise_factors
from design_space.sampling.steppers import (
    Ancestral,
    EulerMaruyama,
    Frozen,
    OptimalVariance,
    PredictorCorrector,
)
from design_space.schedules.edm_table import vp
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule
from design_space.scores.function import function_score

STEPS, DIM = 6, 2
SIGMAS = np.array([8.0, 5.0, 2.0, 1.0, 0.5, 0.3, 0.1])
GRID = Schedule.from_sigmas(SIGMAS)
BETA_D, BETA_MIN = 19.9, 0.1


def score(y, sigma):
    """Any smooth score, in NumPy and in JAX alike."""
    xp = jnp if isinstance(y, jax.Array) else np
    return -y / (1 + sigma**2) + xp.sin(y) / (2 + sigma)


SCORE = function_score(score)


def ours(stepper, grid, y, normals):
    """The sampler from y; `normals` holds what each noisy move of each step is given."""
    moves = stepper.moves(grid)
    factors, given = noise_factors(moves), iter(normals)
    for j in range(grid.steps):
        for move, factor in zip(moves, factors, strict=True):
            each = jax.tree.map(lambda a, j=j: a[j], move)
            own = None if factor is None else factor[j]
            normal = None if own is None else jnp.asarray(next(given))
            y = moved(SCORE, each, own, jnp.asarray(y), normal)
    return np.asarray(y)


def pairs(sigmas=SIGMAS):
    return itertools.pairwise(sigmas)


def frozen(y, u):
    for (high, low), z in zip(pairs(), u, strict=True):
        h = high**2 - low**2
        y = y + h * score(y, high) + np.sqrt(h) * z
    return y


def ddpm(y, u):
    """Ho et al., Algorithm 2, with the posterior's variance, for x = sqrt(abar) y."""
    bar = 1 / (1 + SIGMAS**2)
    x = np.sqrt(bar[0]) * y
    for j, z in enumerate(u):
        alpha = bar[j] / bar[j + 1]
        noise = -SIGMAS[j] * score(x / np.sqrt(bar[j]), SIGMAS[j])
        x = (x - (1 - alpha) / np.sqrt(1 - bar[j]) * noise) / np.sqrt(alpha)
        x = x + np.sqrt((1 - bar[j + 1]) / (1 - bar[j]) * (1 - alpha)) * z
    return x / np.sqrt(bar[-1])


def ddim(eta):
    """Song, Meng and Ermon, eq. (12) and (16), for x = sqrt(abar) y."""

    def run(y, u):
        bar = 1 / (1 + SIGMAS**2)
        x = np.sqrt(bar[0]) * y
        for j in range(STEPS):
            noise = -SIGMAS[j] * score(x / np.sqrt(bar[j]), SIGMAS[j])
            clean = (x - np.sqrt(1 - bar[j]) * noise) / np.sqrt(bar[j])
            up = eta * np.sqrt((1 - bar[j + 1]) / (1 - bar[j]) * (1 - bar[j] / bar[j + 1]))
            x = np.sqrt(bar[j + 1]) * clean + np.sqrt(1 - bar[j + 1] - up**2) * noise
            x = x + (up * u[j] if eta else 0.0)
        return x / np.sqrt(bar[-1])

    return run


def edm_heun(churn=0.0, s_min=0.0, s_max=np.inf, s_noise=1.0):
    """Karras et al., Algorithm 2, up to the last positive level."""

    def denoised(x, sigma):
        return x + sigma**2 * score(x, sigma)

    def run(x, u):
        for j, (high, low) in enumerate(pairs()):
            gamma = min(churn / STEPS, np.sqrt(2) - 1) if s_min <= high <= s_max else 0.0
            hat = high + gamma * high
            if churn:
                x = x + np.sqrt(hat**2 - high**2) * s_noise * u[j]
            d = (x - denoised(x, hat)) / hat
            new = x + (low - hat) * d
            d_new = (new - denoised(new, low)) / low
            x = x + (low - hat) * (d / 2 + d_new / 2)
        return x

    return run


def dpm_solver_2(x, u):
    """Lu et al., Algorithm 1 with r = 1/2, for alpha = 1: lambda = -log sigma."""
    for high, low in pairs():
        step = np.log(high / low)
        middle = high * np.exp(-step / 2)
        noise = -high * score(x, high)
        inner = x - middle * (np.exp(step / 2) - 1) * noise
        x = x - low * (np.exp(step) - 1) * (-middle * score(inner, middle))
    return x


def corrected(e):
    def run(y, u):
        given = iter(u)
        for j, (high, low) in enumerate(pairs()):
            h = high**2 - low**2
            y = y + h * score(y, high) + np.sqrt(h) * next(given)
            for _ in range(2):
                y = y + e[j] * score(y, low) + np.sqrt(2 * e[j]) * next(given)
        return y

    return run


LANGEVIN = np.array([0.3, 0.2, 0.1, 0.1, 0.05, 0.01])
CASES = {
    "frozen": (Frozen(), frozen, 1),
    "ancestral": (Ancestral(), ddpm, 1),
    "ancestral, eta 1": (Ancestral(1.0), ddim(1.0), 1),
    "ancestral, eta 0.5": (Ancestral(0.5), ddim(0.5), 1),
    "ancestral, eta 0": (Ancestral(0.0), ddim(0.0), 0),
    "ode-euler": (FlowEuler(), ddim(0.0), 0),
    "heun": (FlowHeun(), edm_heun(), 0),
    "churn": (Churn(3.0, 0.4, 6.0, 1.01), edm_heun(3.0, 0.4, 6.0, 1.01), 1),
    "much churn": (Churn(40.0, 0.0, np.inf), edm_heun(40.0, s_noise=1.003), 1),
    "midpoint": (FlowMidpoint(), dpm_solver_2, 0),
    "predictor-corrector": (PredictorCorrector(LANGEVIN, 2), corrected(LANGEVIN), 3),
}


def draws(noises, seed=0):
    rng = np.random.default_rng(seed)
    return 8.0 * rng.normal(size=DIM), rng.normal(size=(STEPS * noises, DIM))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_algorithm_as_printed(case):
    stepper, algorithm, noises = CASES[case]
    start, normals = draws(noises)
    # a few roundings of numbers of size 10 in each of six steps, carried on by factors of order 1
    np.testing.assert_allclose(
        ours(stepper, GRID, start, normals), algorithm(start, normals), rtol=0, atol=1e-12
    )


def vp_functions(t):
    """Scale S(t), its derivative, sigma(t), its derivative, beta(t) of the preserving process."""
    total = BETA_D * t * t / 2 + BETA_MIN * t
    beta = BETA_D * t + BETA_MIN
    sigma = np.sqrt(np.expm1(total))
    return np.exp(-total / 2), sigma, beta


def vp_flow(t, x):
    """dx/dt = -beta/2 x - beta/2 score(x), Song et al. eq. (13), the score of x itself."""
    scale, sigma, beta = vp_functions(t)
    return -beta / 2 * (x + score(x / scale, sigma) / scale)


def vp_euler(times, x, u):
    for now, then in itertools.pairwise(times):
        x = x + (then - now) * vp_flow(now, x)
    return x


def vp_heun(times, x, u):
    for now, then in itertools.pairwise(times):
        d = vp_flow(now, x)
        x = x + (then - now) / 2 * (d + vp_flow(then, x + (then - now) * d))
    return x


def vp_maruyama(times, x, u):
    for (now, then), z in zip(itertools.pairwise(times), u, strict=True):
        scale, sigma, beta = vp_functions(now)
        drift = -beta / 2 * x - beta * score(x / scale, sigma) / scale
        x = x + (then - now) * drift + np.sqrt(beta * (now - then)) * z
    return x


@pytest.mark.parametrize(
    ("stepper", "algorithm", "noises"),
    [
        (FlowEuler("time"), vp_euler, 0),
        (FlowHeun("time"), vp_heun, 0),
        (EulerMaruyama("time"), vp_maruyama, 1),
    ],
)
def test_steps_in_time_of_the_preserving_process(stepper, algorithm, noises):
    """The same sampler for x = S y, in the words of that process."""
    grid = vp(STEPS, t_min=0.05, t_max=0.8)
    times = np.linspace(0.8, 0.05, STEPS + 1)
    start, normals = draws(noises)
    first, last = (vp_functions(t)[0] for t in (0.8, 0.05))
    expected = algorithm(times, first * start, normals) / last
    np.testing.assert_allclose(
        ours(stepper, grid, start, normals), expected, rtol=1e-12, atol=1e-12
    )


def test_maruyama_in_the_time_of_song():
    """With sigma = sqrt t the diffusion is 1: y + dt s + sqrt(dt) U, which is the paper's step."""
    grid = song(STEPS, 0.1, 8.0)
    start, normals = draws(1)
    one, other = (ours(s, grid, start, normals) for s in (EulerMaruyama(), Frozen()))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    assert np.max(np.abs(ours(EulerMaruyama("sigma"), grid, start, normals) - other)) > 1e-3


def test_the_variable_matters_only_where_time_is_not_sigma():
    start, _ = draws(0)
    linear, root = edm(STEPS, 0.1, 8.0), song(STEPS, 0.1, 8.0)
    for kind in (FlowEuler, FlowHeun):
        same = [ours(kind(v), linear, start, []) for v in ("sigma", "time")]
        np.testing.assert_allclose(*same, rtol=0, atol=1e-12)
        apart = [ours(kind(v), root, start, []) for v in ("sigma", "time")]
        assert np.max(np.abs(apart[0] - apart[1])) > 1e-3


def test_noise_of_a_given_covariance():
    rng = np.random.default_rng(1)
    h = -np.diff(SIGMAS**2)
    root = rng.normal(size=(STEPS, DIM, DIM)) * np.sqrt(h)[:, None, None] / 2
    covariances = root @ np.swapaxes(root, 1, 2)
    defects = covariances - h[:, None, None] * np.eye(DIM)
    start, normals = draws(1)
    y = start
    for j, (high, _) in enumerate(pairs()):
        y = y + h[j] * score(y, high) + np.linalg.cholesky(covariances[j]) @ normals[j]
    found = ours(OptimalVariance(defects), GRID, start, normals)
    # a covariance that is a difference is good to EPS h against eigenvalues of h/100
    np.testing.assert_allclose(found, y, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Ancestral(1.5), "eta"),
        (lambda: Ancestral(-0.1), "eta"),
        (lambda: FlowHeun("tau"), "variable"),
        (lambda: Churn(-1.0), "s_churn"),
        (lambda: Churn(s_noise=np.nan), "s_noise"),
        (lambda: PredictorCorrector([0.1, 0.0]), "langevin_steps"),
        (lambda: PredictorCorrector([0.1], 0), "corrections"),
        (lambda: PredictorCorrector([0.1]).moves(GRID), "langevin_steps"),
        (lambda: OptimalVariance(np.zeros((3, 2))), "defects"),
        (lambda: OptimalVariance(np.zeros((3, 2, 1))), "defects"),
        (lambda: OptimalVariance(np.zeros(3)).moves(GRID), "defects"),
    ],
)
def test_refusals(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_every_kind_is_named_once_and_counts_its_evaluations():
    assert len(STEPPERS) == 9
    counts = ((Frozen(), 1), (FlowHeun(), 2), (FlowMidpoint(), 2), (Churn(), 2), (FlowEuler(), 1))
    for stepper, per_step in counts:
        assert STEPPERS[stepper.kind] is type(stepper)
        assert stepper.evaluations(GRID) == STEPS * per_step
    assert PredictorCorrector(LANGEVIN, 2).evaluations(GRID) == 3 * STEPS
