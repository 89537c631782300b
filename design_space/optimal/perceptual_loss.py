"""The self-perceptual loss at one point, given frozen features.

At a point y = x_0 + sigma eps, a score S predicts the noise n = -sigma S. The loss takes prediction
and truth to another level sigma' with the same noise,

    y'_hat = y + (sigma' - sigma) n,    y' = y + (sigma' - sigma) eps,

and compares frozen features f there. Only eps is random given y, so that for one y the loss is a
function of the number n,

    G(n) = sum_sigma' P(sigma') |f(y'_hat, sigma') - F_sigma'|^2 + c beta(sigma) (n - E[eps | y])^2

plus what no n changes, F_sigma' = E[f(y', sigma') | y].
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Scalar, float64
from design_space.targets.line import Line

_REACH = 9.0  # standard deviations of the noise in x_0 given y; beyond, mass below 1e-18


def of_velocity(sigma: Scalar) -> Scalar:
    """The weight 1 + sigma^2, with which |eps_hat - eps|^2 is |v_hat - v|^2.

    Args:
      sigma: noise level.
    """
    return 1 + sigma * sigma


class Perceptual(eqx.Module):
    """A self-perceptual loss on the line: frozen features, the law of t', and a mean square.

    Args:
      features: f(y, sigma) -> [k] for one number y, made of JAX operations; an equinox module, or
        a function.
      levels: the sigma' that t' may take, above 0, shape [levels], in data units.
      probabilities: their probabilities, shape [levels]; equal unless given.
      mean_square: c, at least 0, of the additional loss c beta(sigma) |eps_hat - eps|^2.
      beta: its weight at each level; that of v unless given.

    Raises:
      ValueError: if a level is not above 0, the probabilities do not sum to one, or c is below 0.
    """

    features: Callable[..., Any]
    levels: Float[Array, " levels"]
    probabilities: Float[Array, " levels"]
    mean_square: Float[Array, ""]
    beta: Callable[[Scalar], Scalar] = eqx.field(static=True)

    def __init__(
        self,
        features: Callable[..., Any],
        levels: Any,
        probabilities: Any = None,
        mean_square: Scalar = 0.0,
        beta: Callable[[Scalar], Scalar] = of_velocity,
    ):
        levels = checks.nonempty("levels", levels, 1)
        if np.any(np.asarray(levels) <= 0):
            raise checks.refusal("levels", levels, "above 0", "leave the level without noise out")
        if probabilities is None:
            probabilities = np.full(len(levels), 1 / len(levels))
        checks.same_dimension("len(probabilities)", len(probabilities), "levels", len(levels))
        self.features, self.levels, self.beta = features, float64(levels), beta
        self.probabilities = float64(checks.probabilities("probabilities", probabilities))
        self.mean_square = float64(checks.nonnegative("mean_square", mean_square))

    def square(self, sigma: Scalar) -> Array:
        """The weight c beta(sigma) of the mean square.

        Args:
          sigma: noise level of the points.
        """
        return self.mean_square * self.beta(sigma)

    def at(self, places: Float[Array, " levels"]) -> Float[Array, "levels k"]:
        """F at one place for each level.

        Args:
          places: y', shape [levels].
        """
        return jax.vmap(self.features)(places, self.levels)


class TwoLayerFeature(eqx.Module):
    """The hidden unit of the exact denoiser of N(-m, s^2)/2 + N(m, s^2)/2.

    E[x_0 | y] = (s^2 y + sigma^2 m tanh(m y/(s^2 + sigma^2)))/(s^2 + sigma^2) is a network of two
    layers with a linear path and one hidden unit, which this is.

    Attributes:
      separation: m, in data units.
      variance: s^2.
    """

    separation: Float[Array, ""] = eqx.field(converter=float64)
    variance: Float[Array, ""] = eqx.field(converter=float64)

    def __call__(self, y: Float[Array, ""], sigma: Scalar) -> Float[Array, " one"]:
        """tanh(m y/(s^2 + sigma^2)), shape [1]."""
        return jnp.tanh(self.separation * y / (self.variance + sigma * sigma))[None]


class Posterior(NamedTuple):
    """The noise in one point, as points with probabilities.

    Attributes:
      noise: eps = (y - x_0)/sigma, shape [nodes].
      weights: probabilities, shape [nodes].
      low: the least eps that is looked at.
      high: the largest.
    """

    noise: Float[Array, " nodes"]
    weights: Float[Array, " nodes"]
    low: Float[Array, ""]
    high: Float[Array, ""]


def posterior(line: Line, y: Float[Array, ""], sigma: Scalar, nodes: int) -> Posterior:
    """The law of the noise given y, by the trapezoid rule on every component of x_0.

    Args:
      line: the data law.
      y: the point.
      sigma: its noise level, above 0.
      nodes: points per component.
    """
    total = line.variances + sigma * sigma
    z = y - line.centers
    shares = jax.nn.softmax(line.log_weights - 0.5 * (z * z / total + jnp.log(total)))
    # eps given y and the component is normal: sigma z/total on average, of variance l/total.
    places = np.linspace(-_REACH, _REACH, nodes)
    normal = np.exp(-0.5 * places**2)
    middle, spread = sigma * z / total, jnp.sqrt(line.variances / total)
    noise = middle[:, None] + spread[:, None] * places[None, :]
    weights = shares[:, None] * (normal / normal.sum())[None, :]
    live = jnp.isfinite(line.log_weights)
    low = jnp.min(jnp.where(live, middle - _REACH * spread, jnp.inf))
    high = jnp.max(jnp.where(live, middle + _REACH * spread, -jnp.inf))
    return Posterior(noise.ravel(), weights.ravel(), low, high)


class Known(NamedTuple):
    """What the loss at one point asks of the law of the noise there.

    Attributes:
      y: the point.
      means: F_sigma' = E[f(y', sigma') | y], shape [levels, k].
      noise: E[eps | y].
      spread: the part of the loss that no prediction changes.
      low: the least eps that is looked at.
      high: the largest.
    """

    y: Float[Array, ""]
    means: Float[Array, "levels k"]
    noise: Float[Array, ""]
    spread: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]


def known_at(line: Line, loss: Perceptual, y: Float[Array, ""], sigma: Scalar, nodes: int) -> Known:
    """What is known of a point before anything is predicted.

    Args:
      line: the data law.
      loss: the loss.
      y: the point.
      sigma: its noise level, above 0.
      nodes: points per component, see `posterior`.
    """
    found = posterior(line, y, sigma, nodes)
    rates = loss.levels - sigma

    def level(rate: Array, at: Array) -> tuple[Array, Array]:
        values = jax.vmap(lambda n: loss.features(y + rate * n, at))(found.noise)
        mean = found.weights @ values
        return mean, found.weights @ jnp.sum((values - mean[None, :]) ** 2, axis=1)

    means, spreads = jax.vmap(level)(rates, loss.levels)
    noise = found.weights @ found.noise
    more = found.weights @ (found.noise - noise) ** 2
    spread = loss.probabilities @ spreads + loss.square(sigma) * more
    return Known(y, means, noise, spread, found.low, found.high)


def excess(loss: Perceptual, known: Known, sigma: Scalar, n: Float[Array, ""]) -> Float[Array, ""]:
    """G(n): the loss of a prediction less the part that no prediction changes.

    Args:
      loss: the loss.
      known: of the point.
      sigma: its noise level.
      n: the predicted noise.
    """
    at = loss.at(known.y + (loss.levels - sigma) * n)
    off = loss.probabilities @ jnp.sum((at - known.means) ** 2, axis=1)
    return off + loss.square(sigma) * (n - known.noise) ** 2
