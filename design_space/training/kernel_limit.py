"""The tangent kernel of infinitely wide ReLU networks whose first and last layer stay fixed.

Network: z = [x, sigma], q_0 = relu(W_0 z), q_l = relu(W_l q_{l-1}), S = W_{L+1} q_L, with entries
of W_0, ..., W_L N(0, 2/m), of W_{L+1} N(0, 1/d), and only W_1, ..., W_L trained. For two inputs
z, z' let theta_0 be their angle and theta_{l+1} = arccos kappa_1(cos theta_l). As m -> infinity:

1. Outputs. Given q_{l-1} and q'_{l-1} at the angle theta_l, the m rows w of W_l are independent
   and E relu(w.q) relu(w.q') = (2/m) |q||q'| kappa_1(cos theta_l)/2. Summed over rows,
   <q_l, q_l'> -> |q_{l-1}||q'_{l-1}| kappa_1(cos theta_l): norms stay as they are, and so
   <q_{l-1}, q'_{l-1}> -> |z||z'| cos theta_l.
2. Backs. B_l = W_{L+1} D_L W_L ... W_{l+1} D_l with D_l = diag(q_l > 0). Both inputs are active
   with probability kappa_0(cos theta_l)/2, hence B_L B_L'^T -> (m/d) (kappa_0(cos theta_L)/2) I_d.
   A row b of B_{l+1} meets W_{l+1} as if that were fresh, E (b W)_p (b' W)_p = (2/m) <b, b'>, and m
   entries p are active with such a probability: B_l B_l'^T -> kappa_0(cos theta_l) B_{l+1}
   B_{l+1}'^T. Together, B_l B_l'^T -> (m/(2d)) prod_{l'=l}^L kappa_0(cos theta_{l'}) I_d.
3. The derivative in W_l is the outer product of B_l and q_{l-1} (factors of the model), so that

  Theta/m -> (|z||z'|/(2d)) sum_{l=1}^L cos theta_l prod_{l'=l}^L kappa_0(cos theta_{l'}) I_d,

   with deviations of order m^{-1/2}. At equal inputs this is L |z|^2/(2d).
4. Initial scores. Given q_L, S is Gaussian with Cov(S, S') = (1/d) <q_L, q_L'> I_d, which tends to
   (|z||z'|/d) cos theta_{L+1} I_d; at equal inputs E|S|^2 = |z|^2 at every width.

If W_0 is trained as well, the sum starts at l = 0; a two-layer network with its hidden layer
trained is L = 0 of that. A trained last layer adds |z||z'| cos theta_{L+1} I_d to Theta, 1/m of the
whole: the limit of Theta/m stays the same.

Source: after Jacot, Gabriel and Hongler, Neural tangent kernel, NeurIPS 2018, theorem 1, for the
parametrization of section 3.1 of arXiv 2406.12839; Cho and Saul, NeurIPS 2009 for the kernels.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Scalar, float64
from design_space.numerics.arc_cosine import angle_between, relu_angle
from design_space.numerics.linear_algebra import eigh
from design_space.scores.model import with_level
from design_space.training.objective import DenoisingData
from design_space.training.tangent_kernel import (
    KernelDynamics,
    exact,
    kernel_dynamics,
    weighted_kernel,
)


def limit_kernel(
    x: Float[Array, " dim"],
    sigma: Scalar,
    x_other: Float[Array, " dim"],
    sigma_other: Scalar,
    depth: int = 1,
    first_trained: int = 1,
) -> Float[Array, ""]:
    """The factor of m I_d in the tangent kernel of an infinitely wide network.

      lim Theta/m = (|z||z'|/(2d)) sum_{l=first}^L cos theta_l prod_{l'=l}^L kappa_0(cos theta_{l'})

    for one pair of inputs; batch with jax.vmap.

    Args:
      x: one point, in data units.
      sigma: its noise level, in data units.
      x_other: the other point.
      sigma_other: its noise level.
      depth: L; 0 is a two-layer network.
      first_trained: 1 if W_1, ..., W_L are trained, 0 if W_0 is as well (a two-layer network).

    Raises:
      ValueError: if no layer is trained.
    """
    depth, first_trained = _layers(depth, first_trained)
    lengths, angle = _lengths_and_angle(x, sigma, x_other, sigma_other)
    total = jnp.zeros(())
    # Horner's rule: each layer multiplies what earlier layers have by its kappa_0.
    for layer in range(depth + 1):
        if layer >= first_trained:
            total = (total + jnp.cos(angle)) * (1 - angle / np.pi)
        angle = relu_angle(angle)
    return lengths * total / (2 * x.shape[0])


def limit_covariance(
    x: Float[Array, " dim"],
    sigma: Scalar,
    x_other: Float[Array, " dim"],
    sigma_other: Scalar,
    depth: int = 1,
) -> Float[Array, ""]:
    """The covariance of each coordinate of the initial scores, (|z||z'|/d) cos theta_{L+1}.

    One pair of inputs; batch with jax.vmap. Exact at every width for equal inputs and for L = 0,
    else the limit of large width. Coordinates are uncorrelated.

    Args:
      x: one point, in data units.
      sigma: its noise level, in data units.
      x_other: the other point.
      sigma_other: its noise level.
      depth: L; 0 is a two-layer network.
    """
    lengths, angle = _lengths_and_angle(x, sigma, x_other, sigma_other)
    for _ in range(checks.count("depth", depth, 0) + 1):
        angle = relu_angle(angle)
    return lengths * jnp.cos(angle) / x.shape[0]


class LimitMatrices(eqx.Module):
    """Both limits between all pairs (i, j) of data and levels, i first.

    Attributes:
      kernel: lim Theta/m, times I_d.
      covariance: of each coordinate of the initial scores.
    """

    kernel: Float[Array, "pairs pairs"]
    covariance: Float[Array, "pairs pairs"]


def limit_matrices(data: DenoisingData, depth: int = 1, first_trained: int = 1) -> LimitMatrices:
    """The limits of tangent kernel and initial scores on the data of a denoising loss.

    Args:
      data: data and noise.
      depth: L; 0 is a two-layer network.
      first_trained: 1 if W_1, ..., W_L are trained, 0 if W_0 is as well (a two-layer network).
    """
    data = exact(data)
    x = data.noisy.reshape(-1, data.points.shape[1])
    sigma = jnp.tile(data.sigmas, data.points.shape[0])

    def row(given: tuple[Array, Array]) -> tuple[Array, Array]:
        def entry(x_other: Array, sigma_other: Array) -> tuple[Array, Array]:
            pair = (*given, x_other, sigma_other)
            return limit_kernel(*pair, depth, first_trained), limit_covariance(*pair, depth)

        return jax.vmap(entry)(x, sigma)

    return LimitMatrices(*jax.lax.map(row, (x, sigma)))


def limit_dynamics(
    data: DenoisingData, width: Scalar, depth: int = 1, first_trained: int = 1
) -> KernelDynamics:
    """Expected loss curves of wide networks over their initialization.

    Training follows rho_k = (1 - h K)^k rho_0 with K = (m/n) D lim(Theta/m) D, and rho_0 is random
    with E rho_0 rho_0' = D C D + b b', C the covariance of initial scores and b = sqrt(beta) xi.
    The start of the dynamics has one column for each coordinate of b and columns sqrt(d) R with
    R R' = D C D, so that squares summed over columns are expectations: `loss` and `level_losses` of
    the result are E loss(k) and its parts by level; `residuals` mean nothing by themselves. The
    loss at k = 0 is exact at every width; the rest is the limit of large width, h of order 1/m.

    Args:
      data: data and noise.
      width: m.
      depth: L; 0 is a two-layer network.
      first_trained: 1 if W_1, ..., W_L are trained, 0 if W_0 is as well (a two-layer network).
    """
    data, width = exact(data), float64(checks.positive("width", width))
    points, levels, dim = data.noise.shape
    limits = limit_matrices(data, depth, first_trained)
    roots = jnp.tile(jnp.sqrt(data.scales), points)
    spread, basis = eigh(roots[:, None] * limits.covariance * roots[None, :])
    random = jnp.sqrt(dim * jnp.maximum(spread, 0))[None, :] * basis
    fixed = jnp.sqrt(data.beta)[None, :, None] * data.noise
    start = jnp.concatenate([fixed.reshape(-1, dim), random], axis=1)
    kernel = width * weighted_kernel(limits.kernel, data)
    return kernel_dynamics(kernel, start.reshape(points, levels, -1))


def _layers(depth: int, first_trained: int) -> tuple[int, int]:
    depth = checks.count("depth", depth, 0)
    if first_trained not in (0, 1) or first_trained > depth:
        domain = "0, or 1 if depth is at least 1"
        raise checks.refusal("first_trained", first_trained, domain, "train a layer")
    return depth, first_trained


def _lengths_and_angle(
    x: Array, sigma: Scalar, x_other: Array, sigma_other: Scalar
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """|z||z'| and the angle of the inputs z = [x, sigma]."""
    z, other = with_level(float64(x), sigma), with_level(float64(x_other), sigma_other)
    return jnp.linalg.norm(z) * jnp.linalg.norm(other), angle_between(z, other)
