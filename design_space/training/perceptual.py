"""The self-perceptual loss: a frozen denoiser's own hidden layers say how far two points are apart.

In the variables of this package, y = x_0 + sigma eps, a model predicts the data y + sigma^2 S and
the noise -sigma S. Both are put together again at another level sigma',

  y' = x_0 + sigma' eps,   y'_hat = x_0_hat + sigma' eps_hat = y' + (sigma - sigma') r,

r = sigma S(y, sigma) + eps, and compared by a hidden layer h of a frozen model: |h(y'_hat, sigma')
- h(y', sigma')|^2. A model inside EDM's preconditioning with sigma_data = 1 sees y cos(phi), phi =
arctan(sigma), and is a prediction of v in variance-preserving variables, as in the source.

Source: Algorithm 1 of arXiv 2401.00110.
"""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Int, Key, named_key
from design_space.scores.model import AbstractModel, Weights
from design_space.training.losses import AbstractLoss
from design_space.training.objective import DenoisingData, at_rows, residuals

TIMES = ("independent", "equal")
"""The level sigma' at which predictions are compared: drawn of all levels, or that of the model."""

PREDICTIONS = {"both": (1.0, 1.0), "data": (1.0, 0.0), "noise": (0.0, 1.0)}
"""What is predicted in y'_hat, the other part being the true one: factors of the predicted data's
and noise's errors, sigma r and -r, in y'_hat - y' = sigma r - sigma' r."""

DISTANCES = ("squared", "absolute")
"""Between hidden layers: the mean over neurons of |difference|^2, or of |difference|."""


@final
class SelfPerceptualLoss(AbstractLoss):
    """f_ij = mean_k |h_k(y'_hat, sigma') - h_k(y', sigma')|^2 + c beta_j |r_ij|^2.

    Gradients flow through the frozen model into the trained one.

    Attributes:
      frozen: the model whose hidden layer is compared; where an average is, it begins here.
      denoising: c, at least 0, the part of the denoising loss.
      averaging: a in (0, 1], the average moves by w <- a w + (1 - a) theta_k; 1 keeps the model
        frozen.
      others: which level sigma' is, at each step modulo the first axis, point and level, shape
        [batches, points, levels].
      predicted: factors of the errors of data and noise, shape [2]; see PREDICTIONS.
      layer: which hidden layer, counted from 0; negative from the last.
      distance: a name in DISTANCES.
      averages: whether an average is compared in place of the frozen model.
    """

    frozen: AbstractModel
    denoising: Float[Array, "..."]
    averaging: Float[Array, "..."]
    others: Int[Array, "..."]
    predicted: Float[Array, "..."]
    layer: int = eqx.field(static=True)
    distance: str = eqx.field(static=True)
    averages: bool = eqx.field(static=True)

    def terms(
        self, model: AbstractModel, data: DenoisingData, step: Int[Array, ""], memory: Any
    ) -> Float[Array, "points levels"]:
        """See AbstractLoss."""
        r = residuals(model, data)
        sigma = jnp.broadcast_to(data.sigmas[None, :], r.shape[:2])
        other = data.sigmas[self.others[step % self.others.shape[0]]]
        moved = self.predicted[0] * sigma - self.predicted[1] * other
        truth = data.points[:, None, :] + other[..., None] * data.noise
        guess = truth + moved[..., None] * r
        frozen = self.frozen.with_weights(memory) if self.averages else self.frozen

        def apart(judge: AbstractModel, one: Array, two: Array, level: Array) -> Array:
            a, b = (self._hidden(judge, y, level) for y in (one, two))
            size = (a - b) ** 2 if self.distance == "squared" else jnp.abs(a - b)
            return jnp.mean(size)

        seen = at_rows(apart, frozen, data, guess, truth, other)
        return seen + self.denoising * data.beta[None, :] * jnp.sum(r**2, axis=-1)

    def _hidden(self, judge: AbstractModel, y: Array, level: Array) -> Array:
        """The hidden layer that is compared.

        Raises:
          ValueError: if the model has no such layer.
        """
        layers = judge.outputs(y, level)
        if not layers:
            remedy = "take a network, or random features"
            raise checks.refusal("frozen", judge.kind, "a model with hidden layers", remedy)
        if not -len(layers) <= self.layer < len(layers):
            domain = f"{-len(layers)} to {len(layers) - 1}"
            raise checks.refusal("layer", self.layer, domain, "take one of these")
        return layers[self.layer]

    def memory(self, weights: Weights) -> Any:
        """The averaged weights, if there are any."""
        return self.frozen.weights() if self.averages else ()

    def remembered(self, memory: Any, weights: Weights) -> Any:
        """The averaged weights, moved toward the new ones."""
        if not self.averages:
            return memory
        a = self.averaging
        return jax.tree.map(
            lambda old, new: (a * old + (1 - a) * new).astype(old.dtype), memory, weights
        )


def self_perceptual(
    frozen: AbstractModel,
    data: DenoisingData,
    key: Key,
    *,
    batches: int = 1,
    layer: Any = -1,
    denoising: Any = 0.0,
    times: str = "independent",
    predictions: str = "both",
    distance: str = "squared",
    averaging: Any = 1.0,
) -> SelfPerceptualLoss:
    """The self-perceptual loss of a model that has been trained before.

    Args:
      frozen: the trained model; it must have hidden layers.
      data: the loss is for data of its shape.
      key: random key of the levels sigma'; batch over keys and models with jax.vmap for an
        ensemble.
      batches: for how many steps levels are drawn, at least 1.
      layer: which hidden layer, a whole number counted from 0; negative from the last.
      denoising: c, at least 0: the part of the denoising loss.
      times: "independent" draws sigma' uniformly of all levels; "equal" takes the model's own,
        which makes the loss zero.
      predictions: "both", or only "data" or "noise" in y'_hat.
      distance: "squared" or "absolute".
      averaging: a in (0, 1]; below 1 the compared model follows the trained one, w <- a w + (1 - a)
        theta_k; 1 keeps it frozen.

    Raises:
      ValueError: if an argument is out of its domain. Training raises it for a model without such a
        layer.

    Source: Algorithm 1 of arXiv 2401.00110, and the variants of its section 4.
    """
    checks.one_of("times", times, TIMES)
    checks.one_of("predictions", predictions, PREDICTIONS)
    checks.one_of("distance", distance, DISTANCES)
    weight, share = (
        checks.nonnegative("denoising", denoising),
        checks.positive("averaging", averaging),
    )
    if float(share) > 1:
        raise checks.refusal("averaging", float(share), "in (0, 1]", "1 keeps the model frozen")
    points, levels = data.noise.shape[:2]
    shape = (checks.count("batches", batches), points, levels)
    if times == "equal":
        others = jnp.broadcast_to(jnp.arange(levels, dtype=jnp.int32), shape)
    else:
        others = jax.random.randint(named_key(key, "levels"), shape, 0, levels, jnp.int32)
    c, a = (jnp.asarray(x, data.points.dtype) for x in (weight, share))
    predicted = jnp.asarray(PREDICTIONS[predictions], data.points.dtype)
    compared, averages = checks.whole("layer", layer), bool(float(share) < 1)
    return SelfPerceptualLoss(
        frozen, c, a, others, predicted, layer=compared, distance=distance, averages=averages
    )
