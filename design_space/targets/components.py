"""A data law as a list of Gaussian components."""

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar

_FEW = 32  # components times dimensions that are written out; more make long programs


class Components(eqx.Module):
    """A data law as a mixture of Gaussians N(m_k, B_k diag(l_k) B_k^T) with weights w_k.

    Attributes:
      log_weights: log w_k, shape [components].
      means: m_k, shape [components, dim].
      variances: eigenvalues l_k >= 0, shape [components, dim].
      bases: orthogonal B_k, shape [components, dim, dim]; None stands for the identity.
    """

    log_weights: Float[Array, " components"]
    means: Float[Array, "components dim"]
    variances: Float[Array, "components dim"]
    bases: Float[Array, "components dim dim"] | None = None

    @property
    def is_few(self) -> bool:
        """Whether there are few numbers to a point, so that `few_score` writes them all out."""
        return self.bases is None and self.means.size <= _FEW

    def into_basis(self, x: Float[Array, "components dim"]) -> Float[Array, "components dim"]:
        """B_k^T x_k for every component."""
        return x if self.bases is None else jnp.einsum("kij,ki->kj", self.bases, x)

    def out_of_basis(self, x: Float[Array, "components dim"]) -> Float[Array, "components dim"]:
        """B_k x_k for every component."""
        return x if self.bases is None else jnp.einsum("kij,kj->ki", self.bases, x)

    def mean_of_diagonals(
        self, weights: Float[Array, " components"], diagonals: Float[Array, "components dim"]
    ) -> Float[Array, "dim dim"]:
        """sum_k w_k B_k diag(c_k) B_k^T."""
        if self.bases is None:
            return jnp.diag(weights @ diagonals)
        return jnp.einsum("k,kij,kj,klj->il", weights, self.bases, diagonals, self.bases)


def few_score(parts: Components, x: Float[Array, " dim"], variance: Scalar) -> Float[Array, " dim"]:
    """The score of p_v at one point, written out number by number.

    Batched over points, arrays [points, components, dim] with short last axes keep XLA's CPU code
    from using vector instructions: two components on the line cost 20 times what they cost here.
    The formula is that of any number of components: responsibilities by log-sum-exp.

    Args:
      parts: few components.
      x: one point, shape [dim].
      variance: noise variance v.

    Returns:
      The score, shape [dim].
    """
    inverse = 1 / (parts.variances + variance)
    heights = parts.log_weights + 0.5 * jnp.sum(jnp.log(inverse), axis=1)
    count, dim = parts.means.shape
    slopes = [
        [(parts.means[k, i] - x[i]) * inverse[k, i] for i in range(dim)] for k in range(count)
    ]
    if count == 1:
        return jnp.stack(slopes[0])
    logs = [
        heights[k] + 0.5 * sum(slopes[k][i] * (x[i] - parts.means[k, i]) for i in range(dim))
        for k in range(count)
    ]
    top = logs[0]
    for each in logs[1:]:
        top = jnp.maximum(top, each)
    shares = [jnp.exp(each - top) for each in logs]
    total = sum(shares[1:], shares[0])
    return jnp.stack(
        [sum(shares[k] * slopes[k][i] for k in range(count)) / total for i in range(dim)]
    )
