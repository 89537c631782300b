"""EDM's preconditioning, as a wrapper around any model."""

from typing import Any, ClassVar, NamedTuple, final

import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Scalar
from design_space.scores.base import Deviation, affine_deviation
from design_space.scores.model import AbstractModel, Factor, Row, Weights
from design_space.targets.gaussian import Gaussian


def noise_coordinate(sigma: Any) -> Float[Array, "*shape"]:
    """c_noise = ln(sigma)/4, what a preconditioned model sees in place of the noise level.

    Args:
      sigma: noise levels, above 0.

    Source: Table 1 of arXiv 2206.00364.
    """
    return jnp.log(jnp.asarray(sigma)) / 4


class Coefficients(NamedTuple):
    """S(x, sigma) = -skip x + gain F(scale x, noise), in the notation of `Preconditioned`."""

    skip: Array
    gain: Array
    scale: Array
    noise: Array


@final
class Preconditioned(AbstractModel):
    """The score of the denoiser D(x, sigma) = c_skip x + c_out F(c_in x, c_noise) with a model F.

    With s = sigma_data: c_skip = s^2/(sigma^2 + s^2), c_out = sigma s/sqrt(sigma^2 + s^2),
    c_in = 1/sqrt(sigma^2 + s^2), c_noise = ln(sigma)/4, and S = (D - x)/sigma^2, which is
    S = -x/(sigma^2 + s^2) + (c_out/sigma^2) F without cancellation.

    Attributes:
      model: F, whose weights are trained.
      sigma_data: s, above 0, in data units.

    Source: Table 1 of arXiv 2206.00364.
    """

    kind: ClassVar[str] = "preconditioned"
    model: AbstractModel
    sigma_data: Float[Array, ""]

    def coefficients(self, sigma: Scalar) -> Coefficients:
        """What the wrapped model is scaled with at one noise level."""
        level = jnp.asarray(sigma, jnp.result_type(sigma, self.sigma_data))
        total = level**2 + self.sigma_data**2
        scale = 1 / jnp.sqrt(total)
        gain = self.sigma_data * scale / level
        return Coefficients(1 / total, gain, scale, noise_coordinate(level))

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        c = self.coefficients(sigma)
        return c.gain * self.model(c.scale * x, c.noise) - c.skip * x

    def weights(self) -> Weights:
        """Those of F."""
        return self.model.weights()

    def with_weights(self, weights: Weights) -> "Preconditioned":
        """See AbstractModel."""
        return Preconditioned(self.model.with_weights(weights), self.sigma_data)

    def factors(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Factor, ...]:
        """Those of F at (c_in x, c_noise), with back times c_out/sigma^2."""
        c = self.coefficients(sigma)
        inner = self.model.factors(c.scale * x, c.noise)
        return tuple(Factor(factor.input, c.gain * factor.back) for factor in inner)

    def outputs(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Array, ...]:
        """Those of F at (c_in x, c_noise)."""
        c = self.coefficients(sigma)
        return self.model.outputs(c.scale * x, c.noise)

    def given(self, label: Any) -> "Preconditioned":
        """With F of one class; see AbstractModel."""
        return Preconditioned(self.model.given(label), self.sigma_data)

    @property
    def classes(self) -> int:
        """Those of F."""
        return self.model.classes

    @property
    def is_linear(self) -> bool:
        """Whether F is."""
        return self.model.is_linear

    @property
    def level_blocks(self) -> int:
        """That of F."""
        return self.model.level_blocks

    @property
    def width(self) -> int | None:
        """That of F."""
        return self.model.width

    def row(self, x: Float[Array, " dim"], sigma: Scalar) -> Row | None:
        """That of F at (c_in x, c_noise), scaled; the offset holds the skipped part."""
        c = self.coefficients(sigma)
        inner = self.model.row(c.scale * x, c.noise)
        if inner is None:
            return None
        return Row(c.gain * inner.input, c.gain * inner.offset - c.skip * x)

    def affine(self, sigma: Scalar) -> tuple[Array, Array] | None:
        """From that of F; see AbstractModel."""
        c = self.coefficients(sigma)
        inner = self.model.affine(c.noise)
        if inner is None:
            return None
        skip = c.skip * jnp.eye(inner[0].shape[0], dtype=inner[0].dtype)
        return c.gain * c.scale * inner[0] - skip, c.gain * inner[1]

    def kinks(self, sigma: Scalar) -> Float[Array, " kinks"] | None:
        """Those of F, divided by c_in."""
        c = self.coefficients(sigma)
        inner = self.model.kinks(c.noise)
        return None if inner is None else inner / c.scale

    def deviation(self, target: Gaussian, sigma: Scalar) -> Deviation | None:
        """From A x + b where F is affine in x; see AbstractScore."""
        found = self.affine(sigma)
        return None if found is None else affine_deviation(target, sigma, *found)


def preconditioned(model: AbstractModel, sigma_data: Any = 0.5) -> Preconditioned:
    """A model inside EDM's preconditioning.

    Args:
      model: F, any trained model; it sees c_in x and ln(sigma)/4.
      sigma_data: above 0, in data units.

    Raises:
      ValueError: if sigma_data is not above 0.
    """
    sigma_data = checks.positive("sigma_data", sigma_data)
    dtypes = {np.dtype(w.dtype) for w in model.weights()}
    return Preconditioned(model, jnp.asarray(sigma_data, jnp.result_type(*dtypes)))
