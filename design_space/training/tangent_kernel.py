"""The tangent kernel of a model, and gradient descent on the linearized model, in closed form.

Notation: rows (i, j, c) for datum i, noise level j and coordinate c; a_j = beta_j sigma_j^2;
rho = (sqrt(beta_j) r_ij), so that the denoising loss is |rho|^2/(2n). The model linearized about
its weights has

  rho_{k+1} = (1 - h K) rho_k,   K = (1/n) D Theta D,   D = diag(sqrt(a_j)),

with the tangent kernel Theta = J J' of S. With K = sum_q lambda_q u_q u_q' this is solved by
rho_k = sum_q (1 - h lambda_q)^k <u_q, rho_0> u_q, which cancels nowhere: the loss after any number
of steps is a sum of squares. For a model linear in its weights it is the training itself.
"""

from typing import TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Scalar, float64
from design_space.numerics.contraction import power
from design_space.numerics.linear_algebra import eigh, eigvalsh
from design_space.scores.base import AbstractScore
from design_space.scores.model import AbstractModel
from design_space.training.objective import DenoisingData, residuals

_Module = TypeVar("_Module", bound=eqx.Module)


def exact(module: _Module) -> _Module:
    """The same object with its numbers in float64."""
    return jax.tree.map(lambda x: float64(x) if eqx.is_inexact_array(x) else x, module)


def tangent_kernel(
    model: AbstractModel,
    x: Float[Array, "points dim"],
    sigma: Float[Array, " points"],
    others: tuple[Float[Array, "others dim"], Float[Array, " others"]] | None = None,
) -> Float[Array, "points dim others dim"]:
    """The tangent kernel Theta(z, z') = sum of dS(z)/dw dS(z')'/dw over all trained weights w.

    Derivatives in a matrix are outer products, so that with factors in_l and back_l

      Theta[i, c, k, e] = sum_l <in_l(z_i), in_l(z_k)> <back_l(z_i)_c, back_l(z_k)_e>,

    in float64 whatever the model's number type. Memory is points x dim x width, never points x
    number of weights.

    Args:
      model: the model, at the weights where it is linearized.
      x: points, in data units.
      sigma: the noise level of each point, in data units.
      others: the other points and their noise levels; the same ones unless given.

    Raises:
      ValueError: if 64-bit floats are switched off in JAX.

    Source: Jacot, Gabriel and Hongler, Neural tangent kernel, NeurIPS 2018, section 4.
    """
    model = exact(model)
    left = jax.vmap(model.factors)(float64(x), float64(sigma))
    right = left if others is None else jax.vmap(model.factors)(*map(float64, others))
    total = jnp.zeros(())
    for one, other in zip(left, right, strict=True):
        inputs = one.input @ other.input.T
        backs = jnp.einsum("icp,kep->icke", one.back, other.back)
        total = total + inputs[:, None, :, None] * backs
    return total


def loss_kernel(model: AbstractModel, data: DenoisingData) -> Float[Array, "rows rows"]:
    """K = (1/n) D Theta D of the denoising loss; rows (i, j, c), as `data.noise` is laid out.

    Its largest eigenvalue is that of the loss' Gauss-Newton matrix (1/n) J' D^2 J.

    Args:
      model: the model, at the weights where it is linearized.
      data: data and noise.
    """
    data = exact(data)
    dim = data.points.shape[1]
    sigma = jnp.tile(data.sigmas, data.points.shape[0])
    theta = tangent_kernel(model, data.noisy.reshape(-1, dim), sigma)
    rows = theta.shape[0] * dim
    return weighted_kernel(theta.reshape(rows, rows), data)


def weighted_kernel(
    theta: Float[Array, "rows rows"], data: DenoisingData
) -> Float[Array, "rows rows"]:
    """K = (1/n) D Theta D from the tangent kernel of the score.

    Args:
      theta: rows (i, j, c), or rows (i, j) if it acts alike on every coordinate.
      data: data and noise.

    Raises:
      ValueError: if the rows are neither of these.
    """
    data = exact(data)
    points, levels, dim = data.noise.shape
    _matching("theta", theta.shape[0], points * levels, dim)
    roots = jnp.tile(jnp.repeat(jnp.sqrt(data.scales), theta.shape[0] // (points * levels)), points)
    return roots[:, None] * theta * roots[None, :] / points


def weighted_residuals(
    score: AbstractScore, data: DenoisingData
) -> Float[Array, "points levels dim"]:
    """The vector rho = sqrt(beta_j) r_ij in float64; the denoising loss is |rho|^2/(2n).

    Args:
      score: the score model.
      data: data and noise.
    """
    data = exact(data)
    return jnp.sqrt(data.beta)[None, :, None] * residuals(exact(score), data)


@final
class KernelDynamics(eqx.Module):
    """Gradient descent rho_{k+1} = (1 - h K) rho_k, solved; see `kernel_dynamics`.

    Attributes:
      eigenvalues: of K, ascending, at least 0, shape [rows].
      basis: their eigenvectors, in columns.
      coordinates: of rho_0 in this basis; several columns are solved alike, and squares add.
      points: n.
      levels: N.
    """

    eigenvalues: Float[Array, " rows"]
    basis: Float[Array, "rows rows"]
    coordinates: Float[Array, "rows columns"]
    points: int = eqx.field(static=True)
    levels: int = eqx.field(static=True)

    @property
    def stability_limit(self) -> Float[Array, ""]:
        """2/lambda_max: above this learning rate gradient descent diverges."""
        return 2 / self.eigenvalues[-1]

    def residuals(self, step: Scalar, learning_rate: Scalar) -> Float[Array, "points levels dim"]:
        """rho_k, in the shape of rho_0; entries are infinite where it has overflowed.

        Args:
          step: k, a whole number of at least 0; batch with jax.vmap.
          learning_rate: h, above 0.
        """
        now = self.basis @ self._coordinates(step, learning_rate)
        now = now.reshape(self.points, self.levels, -1)
        return jnp.where(jnp.isnan(now), jnp.inf, now)

    def loss(self, step: Scalar, learning_rate: Scalar) -> Float[Array, ""]:
        """The loss |rho_k|^2/(2n) after k steps; infinite if it has overflowed.

        Args:
          step: k, a whole number of at least 0; batch with jax.vmap.
          learning_rate: h, above 0.
        """
        return jnp.sum(self._coordinates(step, learning_rate) ** 2) / (2 * self.points)

    def level_losses(self, step: Scalar, learning_rate: Scalar) -> Float[Array, " levels"]:
        """The part (1/2n) sum_i f_ij of every noise level in the loss after k steps.

        Args:
          step: k, a whole number of at least 0; batch with jax.vmap.
          learning_rate: h, above 0.
        """
        now = self.residuals(step, learning_rate)
        return jnp.sum(now**2, axis=(0, 2)) / (2 * self.points)

    def _coordinates(self, step: Scalar, learning_rate: Scalar) -> Array:
        step = float64(checks.nonnegative("step", step))
        rate = float64(checks.positive("learning_rate", learning_rate))
        factors = power(rate * self.eigenvalues, step)[:, None]
        return jnp.where(self.coordinates == 0, 0, factors * self.coordinates)


def kernel_dynamics(
    kernel: Float[Array, "rows rows"], start: Float[Array, "points levels columns"]
) -> KernelDynamics:
    """Gradient descent on the linearized model, at every step and learning rate.

    Args:
      kernel: K, symmetric and positive semidefinite: rows (i, j, c), or rows (i, j) if it acts
        alike on every coordinate. Eigenvalues that rounding puts below 0 count as 0.
      start: rho_0 of `weighted_residuals`.

    Raises:
      ValueError: if the rows are neither of these.
    """
    points, levels, columns = start.shape
    _matching("kernel", kernel.shape[0], points * levels, columns)
    eigenvalues, basis = eigh(float64(kernel))
    coordinates = basis.T @ float64(start).reshape(kernel.shape[0], -1)
    return KernelDynamics(jnp.maximum(eigenvalues, 0), basis, coordinates, points, levels)


def stability_limit(kernel: Float[Array, "rows rows"]) -> Float[Array, ""]:
    """2/lambda_max(K), above which gradient descent on the linearized model diverges.

    Args:
      kernel: K of `loss_kernel`.
    """
    return 2 / jnp.maximum(eigvalsh(float64(kernel))[-1], 0)


def _matching(field: str, rows: int, pairs: int, dim: int) -> None:
    if rows not in (pairs, pairs * dim):
        domain = f"of {pairs * dim} rows (points x levels x dim), or {pairs} (points x levels)"
        raise checks.refusal(f"{field}.shape[0]", rows, domain, "make it of the same data")
