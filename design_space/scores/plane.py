"""Scores that act separately in a plane and across it."""

import equinox as eqx
import jax.numpy as jnp

from design_space.scores.base import AbstractScore
from design_space.scores.exact import ExactScore
from design_space.scores.perturbed import ScaledScore, ShiftedScore
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture
from design_space.targets.plane import PlaneReduction


class PlaneScore(eqx.Module):
    """A score that acts separately in a plane and on the Gaussian complement.

    Attributes:
      plane: score of the coordinates in the plane (dimension two).
      complement: score of the coordinates across (dimension dim - 2), None if there are none.
      complement_target: the Gaussian law of the complement, None if there is none.
    """

    plane: AbstractScore
    complement: AbstractScore | None
    complement_target: Gaussian | None


def split_in_plane(
    target: AbstractTarget, score: AbstractScore, reduction: PlaneReduction | None
) -> PlaneScore | None:
    """The parts of a score in and across a plane, if the one does not depend on the other.

    Args:
      target: the law that was reduced.
      score: the score; in two dimensions any score is its own part in the plane.
      reduction: the reduction of the law to a plane, or None.

    Returns:
      The parts: of the exact score of the target, scaled and shifted or not, in any dimension;
      None if there are no such parts.
    """
    if reduction is None:
        return None
    if reduction.complement_dim == 0:
        return PlaneScore(score, None, None)
    if isinstance(score, ScaledScore):
        base = split_in_plane(target, score.base, reduction)
        return None if base is None else _scaled(base, score)
    if isinstance(score, ShiftedScore):
        base = split_in_plane(target, score.base, reduction)
        return None if base is None else _shifted(base, score, reduction)
    if not score.is_exact_for(target):
        return None
    variances = jnp.broadcast_to(reduction.complement_variance, (reduction.complement_dim,))
    across = Gaussian.diagonal(reduction.across(reduction.origin), variances)
    inside = ExactScore(GaussianMixture.from_components(reduction.plane))
    return PlaneScore(inside, ExactScore(across), across)


def _scaled(base: PlaneScore, score: ScaledScore) -> PlaneScore:
    across = None if base.complement is None else ScaledScore(base.complement, score.factor)
    return PlaneScore(ScaledScore(base.plane, score.factor), across, base.complement_target)


def _shifted(base: PlaneScore, score: ShiftedScore, reduction: PlaneReduction) -> PlaneScore:
    inside = ShiftedScore(base.plane, reduction.axes @ score.shift)
    across = None
    if base.complement is not None:
        across = ShiftedScore(base.complement, reduction.across(score.shift))
    return PlaneScore(inside, across, base.complement_target)
