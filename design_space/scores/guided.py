"""Guidance: a conditional score pushed away from another one, or up the posterior of a class."""

from typing import Any, ClassVar, final

import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Scalar, float64, is_concrete
from design_space.scores.base import AbstractScore, Deviation, SplitScore
from design_space.scores.exact import ExactScore
from design_space.scores.predictions import predictions, score_from_velocity
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.labeled import LabeledMixture, check_label
from design_space.targets.reduction import Reduction


def read_interval(field: str, interval: Any) -> tuple[Array, Array] | None:
    """Checks the noise levels [low, high] at which guidance acts; None stands for all.

    Args:
      field: how a message names them.
      interval: two levels, at least 0, the lower one first; the upper one may be infinite.

    Raises:
      ValueError: if they are anything else.
    """
    if interval is None:
        return None
    if not is_concrete(interval):
        low, high = interval
        return jnp.asarray(low), jnp.asarray(high)
    domain, remedy = "two noise levels, [low, high]", "give both; high may be infinite"
    try:
        low, high = (float(level) for level in interval)
    except (TypeError, ValueError) as error:
        raise checks.refusal(field, interval, domain, remedy) from error
    if np.isnan(high):
        raise checks.refusal(field, [low, high], domain, remedy)
    checks.nonnegative(f"{field}[0]", low)
    checks.ordered(f"{field}[0]", low, f"{field}[1]", high)
    return float64(low), float64(high)


def read_rescale(field: str, rescale: Any) -> Any:
    """Checks the share of rescaling, from 0 to 1.

    Args:
      field: how a message names it.
      rescale: the share.

    Raises:
      ValueError: if it is anything else.
    """
    rescale = checks.nonnegative(field, rescale)
    if is_concrete(rescale) and rescale > 1:
        raise checks.refusal(field, float(rescale), "from 0 to 1", "take a share")
    return rescale


@final
class GuidedScore(AbstractScore):
    """Classifier-free guidance: s = s_u + w (s_c - s_u), whatever the two scores are.

    w = 1 is the conditional score, w = 0 the unconditional one. With an interval (low, high] the
    strength is w at noise levels inside and 1 outside.

    Rescaling by a share r takes the prediction of v in variance-preserving variables from v_g, the
    guided one, to v_g (1 - r + r |v_c|/|v_g|). The source has standard deviations over the
    coordinates of an image in place of the norms; those agree for predictions of mean zero, and
    say nothing of a point with few coordinates. On the line |v_c|/|v_g| leaves the sign of v_g
    only, so that the score jumps where v_g = 0.

    Args:
      conditional: s_c.
      unconditional: s_u, or any weaker score.
      strength: w, a finite number.
      rescale: r, from 0 to 1.
      interval: noise levels (low, high] at which guidance acts, in data units; all unless given.

    Raises:
      ValueError: if a number is out of its domain, or a score is none.

    Source: arXiv 2207.12598; the interval arXiv 2404.07724, rescaling section 3.4 of 2305.08891.
    """

    kind: ClassVar[str] = "guided"
    conditional: AbstractScore
    unconditional: AbstractScore
    strength: Float[Array, ""]
    rescale: Float[Array, ""] | None
    interval: tuple[Float[Array, ""], Float[Array, ""]] | None

    def __init__(
        self,
        conditional: Any,
        unconditional: Any,
        strength: Any,
        rescale: Any = 0.0,
        interval: Any = None,
    ):
        for field, score in (("conditional", conditional), ("unconditional", unconditional)):
            if not isinstance(score, AbstractScore):
                remedy = "wrap a JAX function in ds.function_score, any other in ds.host_score"
                raise checks.refusal(field, score, "a score", remedy)
        self.conditional, self.unconditional = conditional, unconditional
        self.strength = float64(checks.finite("strength", strength))
        rescale = read_rescale("rescale", rescale)
        off = is_concrete(rescale) and rescale == 0
        self.rescale = None if off else float64(rescale)
        self.interval = read_interval("interval", interval)

    def _strength_at(self, sigma: Scalar) -> Array:
        """W at a noise level: 1 outside the interval."""
        if self.interval is None:
            return self.strength
        low, high = self.interval
        return jnp.where((sigma > low) & (sigma <= high), self.strength, 1.0)

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore; s_c + (w - 1) (s_c - s_u), which has no rounding at w = 1."""
        own, other = self.conditional(x, sigma), self.unconditional(x, sigma)
        guided = own + (self._strength_at(sigma) - 1) * (own - other)
        if self.rescale is None:
            return guided
        wanted, found = (predictions(x, sigma, s).velocity for s in (own, guided))
        spread = jnp.sqrt(jnp.sum(found * found))
        ratio = jnp.sqrt(jnp.sum(wanted * wanted)) / jnp.where(spread > 0, spread, 1.0)
        return score_from_velocity(x, sigma, found * (1 - self.rescale + self.rescale * ratio))

    def _is(self, strength: float) -> bool:
        """Whether w is known to be this number, and nothing else acts."""
        return is_concrete(self.strength) and bool(self.strength == strength)

    def is_exact_for(self, target: AbstractTarget) -> bool:
        """Where both scores are exact for the law, or the one that is left is; see AbstractScore.

        Both: any w gives the same score, and |v_c| = |v_g|.
        """
        own = self.conditional.is_exact_for(target)
        if self._is(1.0):
            return own
        other = self.unconditional.is_exact_for(target)
        if self._is(0.0) and self.rescale is None and self.interval is None:
            return other
        return own and other

    def deviation(self, target: Gaussian, sigma: Scalar) -> Deviation | None:
        """W times the one deviation and 1 - w times the other; see AbstractScore."""
        own = self.conditional.deviation(target, sigma)
        if own is None or self._is(1.0):
            return own
        other = self.unconditional.deviation(target, sigma)
        if other is None or self.rescale is not None:
            return None
        w = self._strength_at(sigma)
        full = own.slope.ndim == 2 or other.slope.ndim == 2
        first, second = (
            jnp.diag(s) if full and s.ndim == 1 else s for s in (own.slope, other.slope)
        )
        return Deviation(
            first + (w - 1) * (first - second),
            own.intercept + (w - 1) * (own.intercept - other.intercept),
            jnp.abs(w) * (own.size + jnp.abs(own.intercept))
            + jnp.abs(w - 1) * (other.size + jnp.abs(other.intercept)),
        )

    def split(self, target: AbstractTarget, reduction: Reduction) -> SplitScore | None:
        """Both parts guided, where both scores split along the same line; see AbstractScore.

        Exact scores of different laws do not: guidance pushes in the direction of both.
        """
        own = self.conditional.split(target, reduction)
        if own is None or self._is(1.0):
            return own
        other = self.unconditional.split(target, reduction)
        if other is None or self.rescale is not None:
            return None
        across = None
        if own.complement is not None and other.complement is not None:
            across = self._of(own.complement, other.complement)
        return SplitScore(self._of(own.line, other.line), across, own.complement_target)

    def _of(self, conditional: AbstractScore, unconditional: AbstractScore) -> "GuidedScore":
        return GuidedScore(conditional, unconditional, self.strength, 0.0, self.interval)


@final
class ClassifierGuidedScore(AbstractScore):
    """Classifier guidance: s = base + w grad log p_v(c | x), by the exact classifier of a mixture.

    Attributes:
      base: the score that is guided.
      labeled: the mixture, whose posterior is climbed.
      label: c.
      strength: w.

    Source: arXiv 2105.05233.
    """

    kind: ClassVar[str] = "classifier-guided"
    base: AbstractScore
    labeled: LabeledMixture
    strength: Float[Array, ""]
    label: int

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        climb = self.labeled.log_posterior_gradient(x, sigma * sigma, self.label)
        return self.base(x, sigma) + self.strength * climb


def classifier_guided(
    labeled: Any, label: Any, strength: Any, base: AbstractScore | None = None
) -> AbstractScore:
    """The exact score guided by the exact classifier: s_u + w grad log p_v(c | x).

    Since grad log p_v(c | x) = s_c - s_u, this is classifier-free guidance at strength w with exact
    scores. From base = s_c the extra drift w grad log p_v(c | x) is strength 1 + w.

    Args:
      labeled: the mixture with its classes.
      label: c, the class to guide to.
      strength: w, a finite number.
      base: the score that is guided; the exact one of the whole mixture unless given.

    Raises:
      ValueError: if an argument is of another kind or out of its domain.
    """
    labeled = _labeled(labeled)
    label = check_label("label", label, labeled.classes)
    base = ExactScore(labeled.mixture) if base is None else base
    return ClassifierGuidedScore(base, labeled, float64(checks.finite("strength", strength)), label)


def guided_exact(
    labeled: Any, label: Any, strength: Any, rescale: Any = 0.0, interval: Any = None
) -> GuidedScore:
    """Classifier-free guidance of the exact scores of a mixture to one of its classes.

    Args:
      labeled: the mixture with its classes.
      label: c, the class to guide to.
      strength: w, a finite number; 1 is the exact score of the class.
      rescale: share of rescaling, from 0 to 1.
      interval: noise levels (low, high] at which guidance acts; all unless given.

    Raises:
      ValueError: if an argument is of another kind or out of its domain.
    """
    labeled = _labeled(labeled)
    own = ExactScore(labeled.given(label))
    return GuidedScore(own, ExactScore(labeled.mixture), strength, rescale, interval)


def _labeled(labeled: Any) -> LabeledMixture:
    if isinstance(labeled, LabeledMixture):
        return labeled
    domain, remedy = "a mixture with classes", "build it by ds.LabeledMixture(mixture, labels)"
    raise checks.refusal("labeled", labeled, domain, remedy)
