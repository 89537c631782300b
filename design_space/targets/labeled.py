"""Mixtures whose components carry class labels: the class of a point, exactly, at every noise."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import (
    Array,
    ArrayLike,
    Float,
    Int,
    Key,
    Real,
    Scalar,
    float64,
    is_concrete,
    named_key,
)
from design_space.targets.components import Components
from design_space.targets.mixture import GaussianMixture


def read_labels(field: str, labels: Any, components: int) -> tuple[int, ...]:
    """Checks class labels: one whole number for each component, 0 to C - 1, each of them taken.

    Args:
      field: how a message names them.
      labels: the labels.
      components: how many components there are.

    Raises:
      ValueError: if they are anything else.
    """
    array = checks.nonempty(field, labels, 1)
    if len(array) != components:
        domain = f"{components}, one label for each component"
        raise checks.refusal(f"len({field})", len(array), domain, "make them agree")
    if np.any(array != np.rint(array)) or np.any(array < 0):
        raise checks.refusal(field, array, "whole numbers of at least 0", "number the classes")
    found = tuple(int(label) for label in array)
    absent = sorted(set(range(max(found) + 1)) - set(found))
    if absent:
        domain = f"0 to {max(found)}, each taken by a component; none has {absent[0]}"
        raise checks.refusal(field, list(found), domain, "number the classes without gaps")
    return found


def check_label(field: str, label: Any, classes: int) -> int:
    """Checks that a label names one of the classes.

    Args:
      field: how a message names it.
      label: the label, concrete.
      classes: how many classes there are.

    Raises:
      ValueError: if it is not a whole number from 0 to classes - 1.
    """
    label = checks.count(field, label, least=0)
    if label >= classes:
        domain = f"below {classes}, the number of classes"
        raise checks.refusal(field, label, domain, "choose one of the classes")
    return label


@final
class LabeledMixture(eqx.Module):
    """A mixture of Gaussians, each component of one class: p(x) = sum_c p(c) p(x | c).

    Args:
      mixture: the law of all classes together.
      labels: the class of each component, 0 to C - 1; several components may share one.

    Attributes:
      mixture: the law of all classes together.
      labels: the class of each component, shape [components].

    Raises:
      ValueError: if the labels are not of this form, or a class has weight zero.
    """

    mixture: GaussianMixture
    labels: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, mixture: Any, labels: Any):
        if not isinstance(mixture, GaussianMixture):
            remedy = "build one, for instance ds.GaussianMixture.isotropic(weights, means, stds)"
            raise checks.refusal("mixture", mixture, "a Gaussian mixture", remedy)
        count = mixture.parts.log_weights.shape[0]
        self.mixture, self.labels = mixture, read_labels("labels", labels, count)
        for label, prior in enumerate(np.asarray(self.prior) if is_concrete(mixture) else ()):
            if not prior > 0:
                domain = f"above 0 for one component of each class; class {label} has none"
                raise checks.refusal("weights", mixture.weights, domain, "leave the class out")

    @property
    def classes(self) -> int:
        """The number C of classes."""
        return max(self.labels) + 1

    @property
    def dim(self) -> int:
        """Dimension of the data."""
        return self.mixture.dim

    @property
    def prior(self) -> Float[Array, " classes"]:
        """p(c), shape [classes]."""
        return jnp.exp(self._by_class(self.mixture.parts.log_weights, own=True))

    def _members(self, label: Any) -> np.ndarray:
        return np.flatnonzero(np.array(self.labels) == label)

    def _by_class(self, logs: Float[Array, " components"], own: bool) -> Array:
        """Log of the sum over the components of each class, or over those of all others."""
        chosen = (np.arange(self.classes)[:, None] == np.array(self.labels)[None, :]) == own
        return jax.nn.logsumexp(jnp.where(chosen, logs[None, :], -jnp.inf), axis=1)

    def given(self, label: Any) -> GaussianMixture:
        """The law of one class, p(x | c): its components, with weights that sum to one.

        Args:
          label: c, a concrete whole number.

        Raises:
          ValueError: if there is no such class.
        """
        return self._only(self._members(check_label("label", label, self.classes)))

    def others(self, label: Any) -> GaussianMixture:
        """The law of all other classes, p(x | not c).

        Args:
          label: c, a concrete whole number.

        Raises:
          ValueError: if there is no such class, or no other.
        """
        label = check_label("label", label, self.classes)
        if self.classes == 1:
            raise checks.refusal("labels", list(self.labels), "of two classes or more", "add one")
        return self._only(np.flatnonzero(np.array(self.labels) != label))

    def _only(self, which: np.ndarray) -> GaussianMixture:
        parts = jax.tree.map(lambda leaf: leaf[which], self.mixture.parts)
        logs = parts.log_weights - jax.nn.logsumexp(parts.log_weights)
        rest = (parts.means, parts.variances, parts.bases)
        return GaussianMixture.from_components(Components(logs, *rest))

    def _log_joint(self, x: Real[ArrayLike, "..."], variance: Scalar) -> Array:
        """Log of w_k N(x; m_k, S_k + v) for each component."""
        point, v, parts = float64(x), self.mixture.check_variance(variance), self.mixture.parts
        if point.shape != parts.means.shape[1:]:
            domain, remedy = f"{parts.means.shape[1:]}, one point", "batch with jax.vmap"
            raise checks.refusal("x.shape", point.shape, domain, remedy)
        z, total = parts.into_basis(point[None, :] - parts.means), parts.variances + v
        return parts.log_weights - 0.5 * jnp.sum(
            z * z / total + jnp.log(2 * jnp.pi * total), axis=1
        )

    def _log_odds(self, x: Real[ArrayLike, "..."], variance: Scalar) -> Array:
        """Log of p_v(c | x) / (1 - p_v(c | x)) for each class; infinite for an only one."""
        logs = self._log_joint(x, variance)
        return self._by_class(logs, own=True) - self._by_class(logs, own=False)

    def log_posterior(
        self, x: Real[ArrayLike, "..."], variance: Scalar
    ) -> Float[Array, " classes"]:
        """Log p_v(c | x) for every class c, from the odds, so that a sure class has no rounding.

        Args:
          x: one point, shape [dim], in data units.
          variance: noise variance v, in squared data units.

        Raises:
          ValueError: if x is not one point of the law's dimension, or p_v has no density.
        """
        return jax.nn.log_sigmoid(self._log_odds(x, variance))

    def log_posterior_gradient(
        self, x: Real[ArrayLike, "..."], variance: Scalar, label: Any
    ) -> Float[Array, " dim"]:
        """The gradient of log p_v(c | x) in x: s_c - s = (1 - p_v(c | x)) (s_c - s_other).

        The difference of the two scores would leave rounding where the class is sure.

        Args:
          x: one point, shape [dim], in data units.
          variance: noise variance v, in squared data units.
          label: c, a concrete whole number.

        Returns:
          The gradient, shape [dim], in inverse data units.

        Raises:
          ValueError: as for `log_posterior`, or if there is no such class.
        """
        label = check_label("label", label, self.classes)
        if self.classes == 1:
            return jnp.zeros_like(float64(x))
        away = self.given(label).score(x, variance) - self.others(label).score(x, variance)
        return jax.nn.sigmoid(-self._log_odds(x, variance)[label]) * away

    def sample(
        self, key: Key, count: int, variance: Scalar = 0.0
    ) -> tuple[Float[Array, "count dim"], Int[Array, " count"]]:
        """Draws from p_v with their classes; the points are those of `mixture.sample`.

        Args:
          key: random key.
          count: number of draws, at least 1.
          variance: noise variance v >= 0; 0 draws data.

        Returns:
          Independent draws, shape [count, dim], and the class of each, shape [count].

        Raises:
          ValueError: if count < 1 or v < 0.
        """
        points = self.mixture.sample(key, count, variance)
        logs = self.mixture.parts.log_weights
        picks = jax.random.categorical(named_key(key, "component"), logs, shape=(count,))
        return points, jnp.asarray(self.labels)[picks]
