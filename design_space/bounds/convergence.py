"""Right-hand sides about gradient descent on the denoising loss: Theorem 1, Lemmas 1, 5, 7, Cor. 2.

Notation: n data, N noise levels, dimension d, width m, depth L; a_j = beta_j sigma_j^2;
loss = (1/2n) sum_ij f_ij; (i*, j*) the index of the largest f_ij, among equals that of the largest
a_j; K = (1/n) D Theta D the kernel of the loss (training/tangent_kernel.py), for which

  |grad loss|^2 = rho' K rho / n,   loss = |rho|^2/(2n),

so that the gradient is between the smallest and the largest eigenvalue of K, without a constant.
"""

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64


class TrainingSizes(eqx.Module):
    """The sizes that the bounds of training depend on.

    Attributes:
      points: n.
      levels: N.
      dim: d.
      width: m.
      depth: L.
    """

    points: Scalar
    levels: Scalar
    dim: Scalar
    width: Scalar
    depth: Scalar = 1


class ConvergenceConstants(eqx.Module):
    """The constants that the paper hides, and its free exponents.

    With these values the corrected forms hold on all designs of the ledger, analyses/statements/
    convergence.py and gradient_bounds.py, which also says how much less would fail.

    Attributes:
      decay: C5 of Theorem 1.
      lower: C6 of Lemma 1.
      upper: of Lemma 5.
      equal: C7 of Corollary 2.
      alpha: a_0 of Theorem 1, Lemma 1 and Corollary 2, in (1/2, 1]. The bounds are strongest in the
        limit 1, where the dimension drops out.
      norm_exponent: b' of Lemma 5.
    """

    decay: float = 0.1
    lower: float = 0.5
    upper: float = 25.0
    equal: float = 0.1
    alpha: float = 1.0
    norm_exponent: float = 0.5


def printed_rate(
    scale: Scalar | Float[Array, " steps"], sizes: TrainingSizes, alpha: Scalar = 1.0
) -> Float[Array, "..."]:
    """The rate a m d^{(a_0 - 1)/2}/(n^3 N^2) of the printed bounds for each unit of learning rate.

    Args:
      scale: a, above 0: a_{j*}, at one step or at each of many.
      sizes: n, N, d, m.
      alpha: a_0.

    Source: Theorem 1 and Lemma 1 of arXiv 2406.12839.
    """
    data = sizes.dim ** ((float64(alpha) - 1) / 2) / (sizes.points**3 * sizes.levels**2)
    return float64(scale) * sizes.width * data


def theorem_1(
    scales: Float[Array, " steps"],
    learning_rate: Scalar,
    sizes: TrainingSizes,
    constants: ConvergenceConstants | None = None,
) -> Float[Array, " steps"]:
    """Bounds on loss(k)/loss(0), k = 1, 2, ...

      prod_{s<k} (1 - C5 h a_{j*(s)} m d^{(a_0-1)/2}/(n^3 N^2)).

    Printed for h = Theta(nN/(m min_j a_j)), where it fails (see `printed_excess`); in the corrected
    form h is at most half of the stability limit 2/lambda_max(K). A factor below 0 counts as 0.

    Args:
      scales: a_{j*(s)} of the steps s = 0, 1, ...
      learning_rate: h, above 0.
      sizes: n, N, d, m.
      constants: C5 and a_0.

    Source: Theorem 1 of arXiv 2406.12839.
    """
    c = ConvergenceConstants() if constants is None else constants
    rates = c.decay * learning_rate * printed_rate(scales, sizes, c.alpha)
    return jnp.cumprod(jnp.maximum(1 - rates, 0.0))


def theorem_1_steps(
    target: Scalar, sizes: TrainingSizes, constants: ConvergenceConstants | None = None
) -> Float[Array, ""]:
    """K = d^{(1-a_0)/2} n^2 N ln(d/eps), the number of steps to a loss eps, its constant as one.

    Args:
      target: eps, above 0 and below d.
      sizes: n, N, d.
      constants: a_0.

    Source: Theorem 1 of arXiv 2406.12839.
    """
    c = ConvergenceConstants() if constants is None else constants
    dim = float64(sizes.dim)
    factor = dim ** ((1 - c.alpha) / 2) * sizes.points**2 * sizes.levels
    return factor * jnp.log(dim / target)


def printed_excess(learning_rate: Scalar, largest_eigenvalue: Scalar) -> Float[Array, ""]:
    """A learning rate in stability limits, h lambda_max(K)/2; above 1 descent is unstable.

    For wide networks lambda_max(K) is of the order m sum_j a_j whatever n and d are, as the scores
    of all points move together. So the printed h = nN/(m min_j a_j) is of the order
    n N sum_j a_j/min_j a_j, at least n N^2, stability limits.

    Args:
      learning_rate: h.
      largest_eigenvalue: lambda_max(K).
    """
    return 0.5 * float64(learning_rate) * largest_eigenvalue


def kernel_decay(
    smallest_eigenvalue: Scalar, learning_rate: Scalar, steps: Scalar
) -> Float[Array, "..."]:
    """Bound (1 - h lambda_min(K))^{2k} on loss(k)/loss(0), for h <= 1/lambda_max(K).

    Exact for models linear in their weights; networks follow as far as K stays near its initial
    value, which takes width.

    Args:
      smallest_eigenvalue: lambda_min(K).
      learning_rate: h, at most 1/lambda_max(K).
      steps: k.
    """
    return jnp.exp(2 * float64(steps) * jnp.log1p(-float64(learning_rate) * smallest_eigenvalue))


def lemma_1(
    loss: Scalar,
    scale: Scalar,
    sizes: TrainingSizes,
    constants: ConvergenceConstants | None = None,
) -> Float[Array, ""]:
    """Lower bound C6 a_{j*} m d^{(a_0-1)/2}/(n^3 N^2) loss on |grad loss|^2 at initialization.

    Args:
      loss: loss(theta_0).
      scale: a_{j*}.
      sizes: n, N, d, m.
      constants: C6 and a_0.

    Source: Lemma 1 of arXiv 2406.12839.
    """
    c = ConvergenceConstants() if constants is None else constants
    return c.lower * printed_rate(scale, sizes, c.alpha) * loss


def lemma_5(
    loss: Scalar,
    largest_scale: Scalar,
    sizes: TrainingSizes,
    constants: ConvergenceConstants | None = None,
) -> Float[Array, ""]:
    """Upper bound C m d^{2b'-1} N max_j a_j loss on |grad_{W_l} loss|^2 of every layer l.

    Args:
      loss: loss(theta).
      largest_scale: max_j a_j.
      sizes: N, d, m.
      constants: C and b'.

    Source: Lemma 5 of arXiv 2406.12839, with b' = 1/2.
    """
    c = ConvergenceConstants() if constants is None else constants
    power = float64(sizes.dim) ** (2 * c.norm_exponent - 1)
    return c.upper * sizes.width * power * sizes.levels * largest_scale * loss


def lemma_7(
    loss: Scalar,
    perturbed_loss: Scalar,
    scale: Scalar,
    largest_scale: Scalar,
    sizes: TrainingSizes,
    constants: ConvergenceConstants | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Lower and upper bound on the squared gradient at perturbed weights, as printed.

    The bounds of Lemmas 1 and 5 with min(loss(theta_0), loss(theta_per)) in place of the loss.

    Args:
      loss: at initialization.
      perturbed_loss: at the perturbed weights.
      scale: a_{j*} at the perturbed weights.
      largest_scale: max_j a_j.
      sizes: n, N, d, m.
      constants: C6, C and the exponents.

    Source: Lemma 7 of arXiv 2406.12839.
    """
    least = jnp.minimum(float64(loss), perturbed_loss)
    below = lemma_1(least, scale, sizes, constants)
    return below, lemma_5(least, largest_scale, sizes, constants)


def gradient_between(
    loss: Scalar, smallest_eigenvalue: Scalar, largest_eigenvalue: Scalar
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """2 lambda_min(K) loss <= |grad loss|^2 <= 2 lambda_max(K) loss, at every theta.

    |grad|^2 = rho' K rho/n is a Rayleigh quotient of K times |rho|^2/n = 2 loss. No constant, no
    assumption; both bounds are attained, by residuals along the eigenvectors.

    Args:
      loss: loss(theta).
      smallest_eigenvalue: lambda_min(K) at theta.
      largest_eigenvalue: lambda_max(K) at theta.
    """
    twice = 2 * float64(loss)
    return twice * smallest_eigenvalue, twice * largest_eigenvalue


def corollary_2(
    steps: Scalar,
    learning_rate: Scalar,
    largest_scale: Scalar,
    sizes: TrainingSizes,
    constants: ConvergenceConstants | None = None,
) -> Float[Array, "..."]:
    """Bound (1 - C7 h max_j a_j m d^{(a_0-1)/2}/(n^3 N^2))^k on loss(k + K')/loss(K').

    Printed for f_ij that stay equal up to a small difference from step K' on.

    Args:
      steps: k.
      learning_rate: h.
      largest_scale: max_j a_j.
      sizes: n, N, d, m.
      constants: C7 and a_0.

    Source: Corollary 2 of arXiv 2406.12839.
    """
    c = ConvergenceConstants() if constants is None else constants
    rate = c.equal * learning_rate * printed_rate(largest_scale, sizes, c.alpha)
    return jnp.maximum(1 - rate, 0.0) ** float64(steps)
