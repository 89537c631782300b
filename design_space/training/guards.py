"""What a training run refuses, before it starts and when it is lost."""

from typing import Any, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, is_concrete
from design_space.scores.model import AbstractModel
from design_space.training.descent import GradientDescent
from design_space.training.ensemble import Ensemble, member
from design_space.training.learning_rate import stability_limit
from design_space.training.losses import AbstractLoss, DenoisingLoss
from design_space.training.memory import refuse
from design_space.training.objective import DenoisingData, empirical_loss


def check_model(model: AbstractModel, data: DenoisingData) -> None:
    """Checks that a model takes points of the data's dimension and is of their number type.

    Args:
      model: one model.
      data: what its loss is made of.

    Raises:
      ValueError: if it does not.
    """
    point = jax.ShapeDtypeStruct(data.points.shape[1:], data.points.dtype)
    level = jax.ShapeDtypeStruct((), data.points.dtype)
    try:
        fits = eqx.filter_eval_shape(model, point, level).shape == point.shape
    except (TypeError, ValueError):  # matrices that do not fit
        fits = False
    if not fits:
        dim = data.points.shape[1]
        remedy = "make the model for this dimension, or give an ensemble to train_ensemble"
        raise checks.refusal("points.shape[1]", dim, "the dimension of the model", remedy)
    for matrix in model.weights():
        if matrix.dtype != data.points.dtype:
            domain = f"the number type of the data, {data.points.dtype}"
            remedy = "give denoising_data and the model the same dtype"
            raise checks.refusal("model's dtype", str(matrix.dtype), domain, remedy)


def check_objective(objective: AbstractLoss, learning_rate: Any) -> None:
    """Checks that a learning rate says something for a loss.

    Args:
      objective: the loss.
      learning_rate: a number or a rule.

    Raises:
      ValueError: if a rule is given for a loss other than the denoising loss on the data.
    """
    if isinstance(learning_rate, str) and not isinstance(objective, DenoisingLoss):
        domain = "a number for any loss but the denoising loss on the data as they are"
        raise checks.refusal("learning_rate", learning_rate, domain, "give a number")


def check_labels(model: AbstractModel, data: DenoisingData, objective: AbstractLoss) -> None:
    """Checks that a model knows the classes of its data.

    Args:
      model: one model, or an ensemble.
      data: what its loss is made of.
      objective: the loss, which may bring data of its own.

    Raises:
      ValueError: if it does not.
    """
    for labels in (data.labels, getattr(objective, "labels", None)):
        if labels is None or not is_concrete(labels):
            continue
        most = int(np.max(np.asarray(labels)))
        if most >= model.classes:
            domain = f"below {model.classes}, the number of classes of the model"
            raise checks.refusal("labels", most, domain, "make the model with more classes")


def check_rule(transform: Any) -> None:
    """Checks that an update rule is made from a learning rate, and not made already.

    Args:
      transform: what was given for it.

    Raises:
      ValueError: if it cannot be called.
    """
    if not callable(transform):
        remedy = "give optax.adam itself, or lambda h: optax.sgd(h, momentum=0.9)"
        raise checks.refusal("transform", transform, "a function of the learning rate", remedy)


def refuse_divergence(
    descent: GradientDescent | Ensemble, diverged_at: Array, learning_rates: Array
) -> NoReturn:
    """Raises the error of a run that diverged, with the stability limit of the first that did.

    Args:
      descent: the run, or an ensemble of them.
      diverged_at: the step at which each was found to diverge, -1 where it was not.
      learning_rates: h of each.

    Raises:
      ValueError: always.
    """
    at = np.atleast_1d(np.asarray(diverged_at))
    index = int(np.argmax(at >= 0))
    rate = float(np.atleast_1d(np.asarray(learning_rates))[index])
    model, data, which = of_member(descent, index)
    if not isinstance(descent.objective, DenoisingLoss):
        domain = f"small enough: the run diverged at step {at[index]}"
        raise checks.refusal(f"learning_rate{which}", rate, domain, "take a smaller one")
    if not jnp.isfinite(empirical_loss(model, data)):
        raise checks.refusal(
            f"model{which}",
            model.kind,
            "one whose loss on the data is finite before training",
            "build it for the noise levels of the data (inside a preconditioned model for their "
            "ln(sigma)/4), or check the size of the data",
        )
    limit = float(stability_limit(model, data))
    many = f"; {int(np.sum(at >= 0))} of {len(at)} members diverged" if len(at) > 1 else ""
    raise checks.refusal(
        f"learning_rate{which}",
        rate,
        f"small enough: the run diverged, or lost every active neuron, at step {at[index]}, and at "
        f"initialization gradient descent is stable below 2/lambda_max = {limit:.4g}{many}",
        f'take "auto" ({limit / 2:.4g}) or less, or on_divergence="record"',
    )


def of_member(
    descent: GradientDescent | Ensemble, index: int
) -> tuple[AbstractModel, DenoisingData, str]:
    """One member's initial model and data, and how it is called in messages.

    Args:
      descent: the run, or an ensemble of them.
      index: which member.
    """
    if isinstance(descent, GradientDescent):
        return descent.model, descent.data, ""
    data = descent.data if descent.shares_data else member(descent.data, index)
    return member(descent.models, index), data, f"s[{index}]"


def refuse_memory(descent: GradientDescent | Ensemble) -> NoReturn:
    """Raises the error of a run that ran out of memory.

    Args:
      descent: the run, or an ensemble of them.

    Raises:
      MemoryError: always.
    """
    model, data, _ = of_member(descent, 0)
    members = descent.members if isinstance(descent, Ensemble) else 1
    refuse(model, data, members, None)
