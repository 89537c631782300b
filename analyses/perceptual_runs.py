"""Networks trained by denoising and then by a self-perceptual loss, seed by seed, and their laws.

Every network is trained twice: a first phase by the denoising loss, then a second one of the same
length either by the same loss, which is the control, or by another one. Both see the same batches.
All is on the line, so that realism and diversity come from densities.
"""

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd

from design_space.arrays import Array, named_key
from design_space.errors.line_law import line_laws
from design_space.errors.line_realism import line_realism
from design_space.errors.realism_record import Realism
from design_space.sampling.steppers import Ancestral
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.scores.guided import GuidedScore
from design_space.scores.model import AbstractModel
from design_space.scores.perceptron import perceptron
from design_space.scores.preconditioned import preconditioned
from design_space.targets.labeled import LabeledMixture
from design_space.targets.line import Line
from design_space.targets.mixture import GaussianMixture
from design_space.training.ensemble import member
from design_space.training.losses import DENOISING, AbstractLoss, Batches, Minibatches, draw_batches
from design_space.training.objective import DenoisingData
from design_space.training.perceptual import self_perceptual
from design_space.training.train import train_ensemble

WORLDS = ("unconditional", "conditional")
"""Two modes at -1 and 1; four at -1.35, -0.45, 0.45, 1.35 that belong to two classes in turn."""

LABEL = 0
"""The class that conditional networks are asked for; the other one is its mirror image."""

SIGMA_DATA = 1.0  # inside this preconditioning a network predicts v, as in the source
_SMALLEST, _LARGEST = 0.02, 20.0
_RATES = (3e-3, 1e-3)  # Adam's learning rates at the start of both phases
_DROPOUT = 0.2  # of labels


class Plan(NamedTuple):
    """What is trained.

    Attributes:
      world: a name in WORLDS.
      stds: of the modes, in data units; each gives as many networks as there are seeds.
      width, depth: of the network.
      seeds: how many.
      steps: of gradient descent in each phase.
      points: in a batch; each is seen at every level.
      levels: N, of training and of the sampler.
    """

    world: str
    stds: tuple[float, ...]
    width: int
    depth: int = 2
    seeds: int = 20
    steps: int = 4000
    points: int = 8
    levels: int = 16

    @property
    def schedule(self) -> Schedule:
        """EDM's grid."""
        return edm(self.levels, sigma_min=_SMALLEST, sigma_max=_LARGEST)

    def source(self, std: float) -> GaussianMixture | LabeledMixture:
        """The law that networks are trained on."""
        if self.world == "unconditional":
            return GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], std)
        means = [[-1.35], [-0.45], [0.45], [1.35]]
        return LabeledMixture(GaussianMixture.isotropic([0.25] * 4, means, std), (0, 1, 0, 1))

    def target(self, std: float) -> GaussianMixture:
        """The law that samples are compared with: that of the class LABEL where there are some."""
        source = self.source(std)
        return source.given(LABEL) if isinstance(source, LabeledMixture) else source


WIDTHS = (4, 12, 32)
"""Neurons in each of two hidden layers."""

PLANS = tuple(
    Plan(world, stds, width)
    for world, stds in (("unconditional", (0.1, 0.25)), ("conditional", (0.15,)))
    for width in WIDTHS
)
"""20 seeds each, 4000 steps in each of two phases, 16 levels."""


class Start(NamedTuple):
    """Networks after the first phase, with what the second one needs.

    Attributes:
      models: the networks, for each std in turn all seeds.
      data: levels and weighting.
      batches: of the second phase.
      keys: of each network.
    """

    models: AbstractModel
    data: DenoisingData
    batches: Batches
    keys: Array


@functools.cache
def _transform(steps: int) -> Callable[[Any], optax.GradientTransformation]:
    """Adam, its rate falling to a fiftieth along half a cosine."""
    return lambda rate: optax.adam(optax.cosine_decay_schedule(rate, steps, 0.02))


def _data(plan: Plan) -> DenoisingData:
    """Levels, and the weighting 1 + sigma^2 of the squared error of v."""
    sigmas = jnp.asarray(plan.schedule.forward_sigmas[1:], jnp.float32)
    points = jnp.zeros((plan.points, 1), jnp.float32)
    noise = jnp.zeros((plan.points, plan.levels, 1), jnp.float32)
    return DenoisingData(points, noise, sigmas, 1 + sigmas**2)


@eqx.filter_jit
def _drawn(source: Any, data: DenoisingData, keys: Array, count: int, share: float) -> Batches:
    return jax.vmap(lambda key: draw_batches(source, data, key, count, dropout=share))(keys)


def _batches(plan: Plan, keys: Array, phase: int) -> Batches:
    share = _DROPOUT if plan.world == "conditional" else 0.0
    each = [
        _drawn(plan.source(std), _data(plan), _folded(own, phase), plan.steps, share)
        for std, own in zip(plan.stds, keys.reshape(len(plan.stds), plan.seeds), strict=True)
    ]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *each)


def _folded(keys: Array, phase: int) -> Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, phase))(keys)


def _trained(
    plan: Plan, models: AbstractModel, loss: AbstractLoss, batches: Batches, phase: int
) -> AbstractModel:
    return train_ensemble(
        models,
        _data(plan),
        steps=plan.steps,
        learning_rates=_RATES[phase],
        objective=Minibatches(loss, *batches),
        transform=_transform(plan.steps),
        records=15,
    ).model


_LOCK = threading.Lock()


def start(plan: Plan) -> Start:
    """The first phase; computed once for a plan that is asked for again and again.

    Args:
      plan: what is trained.
    """
    with _LOCK:
        return _start(plan)


@functools.lru_cache(maxsize=1)  # batches are large
def _start(plan: Plan) -> Start:
    count = len(plan.stds) * plan.seeds
    keys = jax.random.split(named_key(jax.random.key(0), f"{plan.world} {plan.width}"), count)
    classes = 2 if plan.world == "conditional" else 0

    def network(key: Array) -> AbstractModel:
        inner = perceptron(key, 1, plan.width, plan.depth, classes=classes)
        return preconditioned(inner, SIGMA_DATA)

    models = jax.vmap(network)(_folded(keys, 0))
    models = _trained(plan, models, DENOISING, _batches(plan, keys, 1), 0)
    return Start(models, _data(plan), _batches(plan, keys, 2), _folded(keys, 3))


def denoised(plan: Plan) -> AbstractModel:
    """The second phase of the control: the denoising loss again.

    Args:
      plan: what is trained.
    """
    found = start(plan)
    return _trained(plan, found.models, DENOISING, found.batches, 1)


def perceptual(plan: Plan, begin: AbstractModel | None = None, **variant: Any) -> AbstractModel:
    """The second phase by a self-perceptual loss.

    Args:
      plan: what is trained.
      begin: the networks that are trained on, which are also those whose hidden layers are
        compared; those of the first phase unless given.
      variant: arguments of `self_perceptual`.
    """
    found = start(plan)
    begin = found.models if begin is None else begin

    def loss(frozen: AbstractModel, key: Array) -> AbstractLoss:
        return self_perceptual(frozen, found.data, key, batches=plan.steps, **variant)

    losses = eqx.filter_vmap(loss)(begin, found.keys)
    return _trained(plan, begin, losses, found.batches, 1)


def asked(plan: Plan, model: AbstractModel, strength: float) -> AbstractScore:
    """The score that a sampler uses: of the class LABEL, guided, where there are classes.

    Args:
      plan: what was trained.
      model: one network.
      strength: of guidance; 1 for none.
    """
    if plan.world == "unconditional":
        return model
    if strength == 1:
        return model.given(LABEL)
    return GuidedScore(model.given(LABEL), model.given(None), strength)


def exact(plan: Plan, std: float, strength: float) -> AbstractScore:
    """The exact score in place of the network's.

    Args:
      plan: what is trained.
      std: of the modes.
      strength: of guidance; 1 for none.
    """
    source, score = plan.source(std), exact_score(plan.target(std))
    if strength == 1 or not isinstance(source, LabeledMixture):
        return score
    return GuidedScore(score, exact_score(source.mixture), strength)


def numbers(plan: Plan, std: float, score: AbstractScore) -> dict[str, float]:
    """Realism and diversity of the law of ancestral sampling with a score.

    Args:
      plan: gives the levels and the law of the data.
      std: of the modes.
      score: as from `asked` or `exact`.
    """
    source, target, schedule = plan.source(std), plan.target(std), plan.schedule
    classifier = source.log_posterior if isinstance(source, LabeledMixture) else None
    laws = line_laws(score, schedule, Ancestral())
    line = Line.of(target.components())
    words = {"classifier": classifier, "curve": False}
    found = line_realism(line, schedule.backward_variances[-1], laws, **words)
    return _row(found)


def _row(found: Realism) -> dict[str, float]:
    """The numbers that are judged, all from densities."""
    weights = np.asarray(found.mode_weights.value)
    spread = np.asarray(found.mode_variances.value) / np.asarray(found.data_mode_variances.value)
    row = {
        "valley": float(found.valley_mass.value),
        "between": float(found.between_mass.value),
        "missed": 1 - float(found.recall.value),
        "imbalance": float(np.max(np.abs(weights - np.asarray(found.data_mode_weights.value)))),
        "spread": float(np.sqrt(np.mean(spread))),
        "kl": float(found.kl.value),
        "reverse_kl": float(found.reverse_kl.value),
        "w2": float(found.w2.value),
        "error": float(found.kl.error),
    }
    if found.class_probabilities is not None:
        row["accuracy"] = float(np.asarray(found.class_probabilities.value)[LABEL])
    return row


def measured(plan: Plan, method: str, models: AbstractModel, strength: float = 1.0) -> pd.DataFrame:
    """The numbers of every network, a row each.

    Args:
      plan: what was trained.
      method: how the rows are called.
      models: the networks, for each std in turn all seeds.
      strength: of guidance; 1 for none.
    """
    own = {"world": plan.world, "width": plan.width, "method": method, "strength": strength}
    rows = [
        own
        | {"std": std, "seed": seed}
        | numbers(plan, std, asked(plan, member(models, i * plan.seeds + seed), strength))
        for i, std in enumerate(plan.stds)
        for seed in range(plan.seeds)
    ]
    return pd.DataFrame(rows)


STRENGTH = 2.0
"""Of guidance, where networks are guided."""


@functools.cache
def _compared(plan: Plan) -> pd.DataFrame:
    models = {"denoising": denoised(plan), "self-perceptual": perceptual(plan)}
    strengths = (1.0,) if plan.world == "unconditional" else (1.0, STRENGTH)
    parts = [measured(plan, n, m, w) for n, m in models.items() for w in strengths]
    own = {"world": plan.world, "width": plan.width, "method": "exact score", "seed": 0}
    rows = [
        own | {"std": std, "strength": w} | numbers(plan, std, exact(plan, std, w))
        for std in plan.stds
        for w in strengths
    ]
    return pd.concat([*parts, pd.DataFrame(rows)], ignore_index=True)


_COMPARING = threading.Lock()  # two statements are judged at a time, and share the networks


def compared(plan: Plan) -> pd.DataFrame:
    """The control, the self-perceptual loss, both guided where there are classes, and exact scores.

    Args:
      plan: what is trained; computed once for each.
    """
    with _COMPARING:
        return _compared(plan)
