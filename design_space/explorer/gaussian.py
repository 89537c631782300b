"""The numbers of a state with Gaussian data: closed forms, at once."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array, Float, float64
from design_space.explorer.controls import WEIGHTINGS
from design_space.explorer.gaussian_program import (
    Inputs,
    Outputs,
    gaussian_program,
    trained_program,
)
from design_space.explorer.numbers import QUANTITIES, FisherCurve, Laws, Numbers, Value
from design_space.explorer.parts import bounds_of, evaluations_of, grid_of, value_of
from design_space.explorer.pictures import (
    CURVE_POINTS,
    curve_sigmas,
    fisher_curve,
    normal_densities,
    rows_of_points,
)
from design_space.explorer.state import State
from design_space.targets.gaussian import Gaussian

_FOREIGN = ("heun", "midpoint", "churn", "predictor-corrector")
_FOREIGN_REASON = (
    "the trained score knows the trained noise levels only, and this sampler asks at others; "
    "choose frozen, euler-maruyama, ancestral, optimal-variance or ode-euler"
)


@eqx.filter_jit
def _information(target: Gaussian, sigmas: Float[Array, " points"]) -> Array:
    return jax.vmap(lambda s: target.fisher_information(s * s).value)(sigmas)


def _curve(given: Inputs, sigmas: np.ndarray) -> FisherCurve:
    levels = curve_sigmas(sigmas)
    flat = np.full(CURVE_POINTS, sigmas[0])
    flat[: levels.size] = levels.ravel()
    found = np.asarray(_information(given.target(), jnp.asarray(flat)))[: levels.size]
    return fisher_curve(levels, found.reshape(levels.shape), 64 * EPS)


def _laws(state: State, sigmas: np.ndarray, found: Outputs, missing: str | None) -> Laws:
    """The densities of every step."""
    exact_stds = np.hypot(state.std, sigmas)
    rows = len(sigmas)
    unknown = np.full(rows, np.nan)
    means = unknown if missing else state.mean + np.asarray(found.shifts)[:rows]
    variances = unknown if missing else exact_stds**2 + np.asarray(found.excesses)[:rows]
    # A variance far below that of the data is known to rounding only; it is drawn as that.
    stds = np.sqrt(np.maximum(variances, 64 * EPS * exact_stds**2))
    exact_means = np.full(rows, state.mean)
    x = rows_of_points(np.stack([exact_means, means], 1), np.stack([exact_stds, stds], 1))
    data = normal_densities(x[-1:], exact_means[:1], np.array([state.std]))[0]
    return Laws(
        x,
        normal_densities(x, means, stds),
        normal_densities(x, exact_means, exact_stds),
        data,
        means,
        stds,
        state.mean,
        exact_stds,
        missing,
    )


def gaussian_numbers(state: State) -> Numbers:
    """Everything about a state with Gaussian data.

    Args:
      state: the state; `data` is "gaussian".
    """
    foreign = state.score == "trained" and state.sampler in _FOREIGN
    trained = state.score == "trained" and not foreign
    factor = state.factor if state.score == "scaled" else 1.0
    given = Inputs(float64(state.mean), float64(state.std), grid_of(state), float64(factor))
    model = None
    if trained:
        place = jnp.asarray(WEIGHTINGS.index(state.weighting))
        model = trained_program(given, place, jnp.asarray(state.training))
    found: Outputs = jax.device_get(gaussian_program(given, state.sampler, model))
    n, missing = state.steps, _FOREIGN_REASON if foreign else None
    sigmas = np.array(found.sigmas[: n + 1])
    values = {name: value_of(getattr(found, name)) for name in QUANTITIES}
    if foreign:
        own = Value(None, None, None, missing)
        values = dict.fromkeys(QUANTITIES, own) | {"initialization": values["initialization"]}
    return Numbers(
        state=state,
        backward_sigmas=sigmas,
        initialization=float(found.initialization.value),
        discretization_steps=_per_step(found.discretization_steps, n),
        score_steps=_per_step(found.score_steps, n),
        fisher=_curve(given, sigmas),
        values=values,
        bounds=bounds_of(found.bounds),
        laws=_laws(state, sigmas, found, missing),
        evaluations=evaluations_of(state.sampler, n),
        final=True,
    )


def _per_step(values: Any, steps: int) -> np.ndarray:
    """What each step adds; NaN where there is no path KL."""
    return np.array(values[:steps]) if np.ndim(values) else np.full(steps, np.nan)
