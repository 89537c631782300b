"""Training on the self-perceptual loss against the optimum by quadrature, bin by bin.

The trained score is one number in each bin of y at each level; the frozen feature is the hidden
unit of the exact denoiser of N(-1, 0.3^2)/2 + N(1, 0.3^2)/2. Each seed has data, noise and levels
sigma' of its own and descends to the least empirical loss.
"""

import functools
from typing import Any, ClassVar, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import stats

from design_space.arrays import Array, Float, Key, Scalar
from design_space.numerics.statistics import CONFIDENCE
from design_space.optimal.perceptual import PointwiseOptimum, binned_optima
from design_space.optimal.perceptual_loss import Perceptual, TwoLayerFeature
from design_space.scores.binned import binned
from design_space.scores.model import AbstractModel, Factor, Weights
from design_space.targets.line import Line
from design_space.targets.mixture import GaussianMixture
from design_space.training.objective import DenoisingData
from design_space.training.perceptual import SelfPerceptualLoss, self_perceptual
from design_space.training.train import train_ensemble

SEPARATION, WIDTH = 1.0, 0.3
"""m and s of the data."""

SIGMAS = np.array([0.5, 0.8, 1.3])
"""Levels that are trained, and that sigma' is drawn from, equally likely."""

EDGES = np.linspace(-1.5, 1.5, 7)[None, :] * np.sqrt(1 + SIGMAS[:, None] ** 2)
"""Inner edges of the bins at each level; the bins between them are compared."""

SEEDS, POINTS, STEPS, RATE = 24, 4096, 200, 0.1
"""Runs, points of each, steps of Adam with a cosine decay, and its first rate."""


@final
class HiddenUnit(AbstractModel):
    """A frozen model whose hidden layer is the unit of the exact denoiser.

    Attributes:
      scale: a matrix of one entry, 1, times which the unit is taken.
      feature: the unit.
    """

    kind: ClassVar[str] = "hidden unit"
    scale: Float[Array, "one one"]
    feature: TwoLayerFeature

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """The exact score (m tanh(.) - x)/(s^2 + sigma^2)."""
        hidden = self.feature.separation * self.outputs(x, sigma)[0]
        return (hidden - x) / (self.feature.variance + sigma**2)

    def outputs(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Array, ...]:
        """The unit, shape [1]."""
        return (self.scale[0] * self.feature(x[0], sigma),)

    def weights(self) -> Weights:
        """The scale."""
        return (self.scale,)

    def with_weights(self, weights: Weights) -> "HiddenUnit":
        """See AbstractModel."""
        return HiddenUnit(weights[0], self.feature)

    def factors(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Factor, ...]:
        """Input: the unit; back: its weight in the score."""
        weight = self.feature.separation / (self.feature.variance + sigma**2)
        return (Factor(self.feature(x[0], sigma), jnp.full((1, 1), weight)),)


def frozen() -> HiddenUnit:
    """The frozen model, whose score is exact."""
    return HiddenUnit(jnp.ones((1, 1)), TwoLayerFeature(SEPARATION, WIDTH**2))


def _target() -> GaussianMixture:
    return GaussianMixture.isotropic([0.5, 0.5], [[-SEPARATION], [SEPARATION]], WIDTH)


class Trained(NamedTuple):
    """Predicted noise of the compared bins, level by level.

    Attributes:
      seeds: of each run, shape [seeds, bins].
      optimum: by quadrature, and the mean of the noise, which the mean square would have.
    """

    seeds: np.ndarray
    optimum: PointwiseOptimum

    @property
    def mean(self) -> np.ndarray:
        """Over the seeds."""
        return self.seeds.mean(axis=0)

    @property
    def half_width(self) -> np.ndarray:
        """Of intervals that hold together with CONFIDENCE: Student's t, by Bonferroni."""
        count, bins = self.seeds.shape
        factor = stats.t.ppf(1 - (1 - CONFIDENCE) / (2 * bins), count - 1)
        return factor * self.seeds.std(axis=0, ddof=1) / np.sqrt(count)


def quadrature() -> PointwiseOptimum:
    """The optimum of every compared bin, level by level, flat."""
    loss = Perceptual(TwoLayerFeature(SEPARATION, WIDTH**2), SIGMAS)
    line = Line.of(_target().components())
    parts = [binned_optima(line, loss, edges, s) for edges, s in zip(EDGES, SIGMAS, strict=True)]
    return PointwiseOptimum(*(jnp.concatenate(column) for column in zip(*parts, strict=True)))


def _drawn(key: Key) -> tuple[DenoisingData, SelfPerceptualLoss]:
    one, two, three = jax.random.split(key, 3)
    noise = jax.random.normal(two, (POINTS, len(SIGMAS), 1))
    points = _target().sample(one, POINTS)
    data = DenoisingData(points, noise, jnp.asarray(SIGMAS), jnp.ones(len(SIGMAS)))
    return data, self_perceptual(frozen(), data, three, layer=0)


def _decaying(rate: Any) -> optax.GradientTransformation:
    """Adam whose rate falls to zero, so that it comes to rest."""
    falling = optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, STEPS))
    return optax.chain(optax.scale_by_adam(b2=0.99), falling, optax.scale_by_learning_rate(rate))


@functools.lru_cache(maxsize=1)
def trained() -> Trained:
    """All runs, from the prediction of no noise at all."""
    keys = jax.random.split(jax.random.key(0), SEEDS)
    data, losses = eqx.filter_vmap(_drawn)(keys)
    models = jax.vmap(lambda _: binned(SIGMAS, EDGES))(jnp.arange(SEEDS))
    run = train_ensemble(
        models,
        data,
        steps=STEPS,
        learning_rates=RATE,
        records=1,
        transform=_decaying,
        objective=losses,
    )
    theta = np.asarray(run.model.weights()[0]).reshape(SEEDS, len(SIGMAS), -1)
    noise = -theta * SIGMAS[None, :, None]
    return Trained(noise[:, :, 1:-1].reshape(SEEDS, -1), quadrature())
