"""Gradient descent on the population loss, in closed form: floor, excess, score errors.

The population loss of denoising score matching is

  (1/2) sum_j beta_j E|sigma_j S(X_j, sigma_j) + xi|^2
      = (1/2) sum_j beta_j mmse(v_j)/v_j + (1/2) sum_j beta_j v_j E|S(X_j, sigma_j) - L_j(X_j)|^2,

a floor that no score removes, and the excess, of which every term is a square. Training sees the
excess only, so it is solved alone and nothing cancels.
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, ArrayLike, Float, Key, Real, Scalar, is_concrete
from design_space.checks import numbers, refusal
from design_space.numerics.estimate import Estimate
from design_space.schedules.schedule import Schedule
from design_space.scores.model import AbstractModel
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals
from design_space.targets.line import Line, at_point, panel_count, rule
from design_space.training.objective import trained_total
from design_space.training.solvable import (
    LevelRows,
    Solvable,
    check_solvable,
    known_row,
    solve,
)
from design_space.weightings.base import AbstractWeighting

_ORDER = 16  # nodes per panel of at most three quarters of a standard deviation


def mmse_levels(
    target: AbstractTarget, variances: Float[Array, " levels"], key: Key | None, samples: int
) -> Estimate:
    """The mmse at many noise variances, by the best way there is.

    Args:
      target: the data law.
      variances: v_j, shape [levels].
      key: random key, needed where only Monte Carlo is left.
      samples: draws per level then.

    Raises:
      ValueError: if a key is needed and missing.
    """
    if isinstance(target, Gaussian):
        return jax.vmap(target.mmse)(variances)
    return mixture_integrals(target, variances, key, samples).mmse


def loss_floor(
    target: AbstractTarget,
    schedule: Schedule,
    weighting: AbstractWeighting,
    *,
    key: Key | None = None,
    samples: int = 4096,
) -> Estimate:
    """The floor of the population loss at each level, (1/2) beta_j mmse(v_j)/v_j, shape [N].

    Its sum is the loss of the exact score, -C_bar: no score has less.

    Args:
      target: the data law.
      schedule: gives the levels sigma_1 < ... < sigma_N.
      weighting: gives beta_j.
      key: random key, needed where only Monte Carlo is left.
      samples: draws per level then.

    Raises:
      ValueError: if a key is needed and missing, or a beta_j is not finite or negative.

    Source: eq. (5) of arXiv 2406.12839, corrected.
    """
    variances = schedule.forward_variances[1:]
    beta = numbers("weighting.total(schedule)", weighting.total(schedule), 1)
    if is_concrete(beta) and np.any(beta < 0):
        raise refusal("weighting.total(schedule)", beta, "at least 0", "check the weighting")
    mmse = mmse_levels(target, variances, key, samples)
    return mmse.scaled(0.5 * beta / variances)


@final
class PopulationSolvable(eqx.Module):
    """The whole trajectory of gradient descent on the population loss, from one start.

    `step` is a whole number, `learning_rate` a number; both may be traced or arrays.

    Attributes:
      dynamics: the excess that training moves; its loss, with `gap`, is the excess.
      scales: a_j = beta_j sigma_j^2, shape [levels].
      floor: (1/2) beta_j mmse(v_j)/v_j, shape [levels].
      gap: where the model is affine in x, the excess of the best affine score at each level over
        the exact score, (1/2) beta_j (mmse of the best affine denoiser - mmse)/v_j, shape
        [levels]; zero for Gaussian data, and where the excess is integrated as it stands.
    """

    dynamics: Solvable
    scales: Float[Array, " levels"]
    floor: Estimate
    gap: Estimate

    @property
    def eigenvalues(self) -> Float[Array, " modes"]:
        """Curvatures of the population loss; see Solvable."""
        return self.dynamics.eigenvalues

    @property
    def stability_limit(self) -> Float[Array, ""]:
        """2 / lambda_max; see Solvable."""
        return self.dynamics.stability_limit

    @property
    def optimum(self) -> AbstractModel:
        """The limit of gradient descent at stable steps; see Solvable."""
        return self.dynamics.optimum

    def at(self, step: Scalar, learning_rate: Scalar) -> AbstractModel:
        """The model after `step` steps; see Solvable."""
        return self.dynamics.at(step, learning_rate)

    def level_excesses(
        self, step: Real[ArrayLike, "..."], learning_rate: Real[ArrayLike, "..."]
    ) -> Float[Array, "... levels"]:
        """(1/2) beta_j v_j E|S - L_j|^2 after `step` steps."""
        moving = self.dynamics.level_losses(step, learning_rate)
        return moving + jnp.broadcast_to(self.gap.value, moving.shape)

    def score_errors(
        self, step: Real[ArrayLike, "..."], learning_rate: Real[ArrayLike, "..."]
    ) -> Float[Array, "... levels"]:
        """E|S(X_j, sigma_j) - L_j(X_j)|^2 after `step` steps, in inverse squared data units."""
        excess = self.level_excesses(step, learning_rate)
        return excess * jnp.broadcast_to(2 / self.scales, excess.shape)

    def excess(
        self, step: Real[ArrayLike, "..."], learning_rate: Real[ArrayLike, "..."]
    ) -> Float[Array, "..."]:
        """The population loss above its floor."""
        return self.dynamics.loss(step, learning_rate) + jnp.sum(self.gap.value)

    def loss(
        self, step: Real[ArrayLike, "..."], learning_rate: Real[ArrayLike, "..."]
    ) -> Float[Array, "..."]:
        """The population loss: floor and excess."""
        return self.excess(step, learning_rate) + jnp.sum(self.floor.value)


def _moments(target: AbstractTarget) -> Gaussian:
    """The Gaussian with the mean and covariance of the target."""
    return target if isinstance(target, Gaussian) else Gaussian(target.mean(), target.covariance())


@eqx.filter_jit
def _solve_affine(model: AbstractModel, twin: Gaussian, sigmas: Array, scales: Array) -> Solvable:
    """Excess over the Gaussian of the same moments: rows are the coefficients of 1, w_1, ..., w_d
    in X = m + B diag(sqrt(l + v)) w, which are orthonormal under any law with these moments.
    """
    basis = jnp.eye(twin.dim) if twin.basis is None else twin.basis
    mean = twin.mean_vector

    def rows_of(sigma: Array) -> LevelRows:
        spread = jnp.sqrt(twin.eigenvalues + sigma**2)
        directions = (basis * spread[None, :]).T

        def along(direction: Array) -> tuple[Array, Array]:
            def value(x: Array) -> tuple[Array, Array]:
                return known_row(model, x, sigma).input, model(x, sigma)

            return jax.jvp(value, (mean,), (direction,))[1]

        slopes, scores = jax.vmap(along)(directions)
        first = known_row(model, mean, sigma).input
        exact = -(basis / spread[None, :]).T
        return LevelRows(
            jnp.concatenate([first[None], slopes]),
            jnp.concatenate([model(mean, sigma)[None], scores - exact]),
        )

    return solve(model, rows_of, sigmas, scales, separable=True)


@eqx.filter_jit
def _solve_line(
    model: AbstractModel, line: Line, sigmas: Array, scales: Array, panels: int
) -> Solvable:
    """Excess on the line: rows are the nodes of a rule split where the score bends."""

    def rows_of(sigma: Array) -> LevelRows:
        rules = rule(line, sigma**2, panels, _ORDER, model.kinks(sigma))
        nodes, weights = (a.ravel() for a in rules)
        at = jax.vmap(lambda x: at_point(line, x, sigma**2))(nodes)
        mass = weights * jnp.exp(at.log_density)
        score = jax.vmap(lambda x: model(x[None], sigma))(nodes)
        inputs = jax.vmap(lambda x: known_row(model, x[None], sigma).input)(nodes)
        root = jnp.sqrt(mass)[:, None]
        return LevelRows(root * inputs, root * (score - at.score[:, None]))

    return solve(model, rows_of, sigmas, scales, separable=True)


def population_solvable(
    model: AbstractModel,
    target: AbstractTarget,
    schedule: Schedule,
    weighting: AbstractWeighting,
    *,
    key: Key | None = None,
    samples: int = 4096,
) -> PopulationSolvable:
    """Gradient descent on the population loss, solved.

    A model that is affine in x sees the first two moments of the data only, whatever their law; any
    other is integrated on the line, over panels that end where the score bends.

    Args:
      model: the start; one trained matrix times known features.
      target: the data law.
      schedule: gives the levels sigma_1 < ... < sigma_N.
      weighting: gives beta_j.
      key: random key, needed where the mmse of the target can only be sampled.
      samples: draws per level then.

    Raises:
      ValueError: if the model is not of this form, or the features are not affine in x and either
        the data have more than one dimension or it is not known where they bend; if a key is
        needed and missing; if a beta_j is not finite or not above 0.
    """
    sigmas, beta = schedule.forward_sigmas[1:], trained_total(weighting, schedule)
    remedy = "draw a large sample of the data and solve the empirical loss (`solvable`)"
    if not check_solvable(model, sigmas, target.dim):
        raise refusal("model", model.kind, "one trained matrix times known features", remedy)
    variances = sigmas**2
    mmse = mmse_levels(target, variances, key, samples)
    floor = mmse.scaled(0.5 * beta / variances)
    scales = jnp.sqrt(beta) * sigmas
    zero = jnp.zeros_like(beta)
    gap = Estimate(zero, zero, "closed form")
    if eqx.filter_eval_shape(lambda: model.affine(sigmas[0])) is not None:
        twin = _moments(target)
        if not isinstance(target, Gaussian):
            least = jax.vmap(twin.mmse)(variances)
            gap = (least + mmse.scaled(-1.0)).scaled(0.5 * beta / variances)
        dynamics = _solve_affine(model, twin, sigmas, scales)
    else:
        if target.dim != 1 or model.kinks(sigmas[0]) is None:
            raise refusal("model", model.kind, "affine in x in several dimensions", remedy)
        line = Line.of(target.components())
        dynamics = _solve_line(model, line, sigmas, scales, panel_count(line, variances))
    return PopulationSolvable(dynamics, scales**2, floor, gap)
