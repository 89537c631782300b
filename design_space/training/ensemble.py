"""Many runs of gradient descent at once: batched by vmap, shared out over devices by sharding."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from design_space import checks
from design_space.arrays import Array, Float, Int
from design_space.scores.model import AbstractModel
from design_space.training.descent import GradientDescent, Info, State, Transform
from design_space.training.losses import DENOISING, AbstractLoss
from design_space.training.objective import DenoisingData


class Ensemble(eqx.Module):
    """Runs that differ in their numbers: seeds, data, weightings, schedules, learning rates.

    Every array of `models`, and of `data` unless they share it, has the members along its first
    axis. One compiled program serves all members.

    Attributes:
      models: initial models, made by jax.vmap over keys or by `stack`.
      data: one DenoisingData for all, or one for each member.
      learning_rates: h of each member, shape [members].
      transform: optax's update rule.
      objective: the loss that is made of the data, with the members along the first axis of its
        arrays.
    """

    models: AbstractModel
    data: DenoisingData
    learning_rates: Float[Array, " members"]
    transform: Transform = eqx.field(static=True, default=optax.sgd)
    objective: AbstractLoss = DENOISING

    def __check_init__(self):
        own = ("models", self.models), ("objective", self.objective)
        for field, tree in (*own, *self._batched_data()):
            for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_array)):
                size = leaf.shape[0] if leaf.ndim else 0
                checks.same_dimension(f"members of {field}", size, "learning_rates", self.members)

    def _batched_data(self) -> tuple[tuple[str, DenoisingData], ...]:
        return () if self.shares_data else (("data", self.data),)

    @property
    def members(self) -> int:
        """How many runs there are."""
        return self.learning_rates.shape[0]

    @property
    def shares_data(self) -> bool:
        """Whether all members have one loss."""
        return self.data.beta.ndim == 1

    def each(self, function: Callable[..., Any], *batched: Any, shared: tuple = ()) -> Any:
        """A function of a member's GradientDescent at every member.

        Args:
          function: takes a GradientDescent, then an entry of each of `batched`, then `shared`.
          batched: pytrees with the members along the first axis of their arrays.
          shared: arguments that are the same for all.
        """
        every = eqx.if_array(0)
        axes = (every, None if self.shares_data else every, 0, every, every, None)

        def one(model: Any, data: Any, rate: Array, loss: Any, own: Any, common: Any) -> Any:
            descent = GradientDescent(model, data, rate, self.transform, loss)
            return function(descent, *own, *common)

        return eqx.filter_vmap(one, in_axes=axes)(
            self.models, self.data, self.learning_rates, self.objective, batched, shared
        )

    def init(self) -> State:
        """The states before the first step."""
        return self.each(lambda descent: descent.init())

    def step(self, state: State) -> tuple[State, Info]:
        """One step of every member; see GradientDescent."""
        return self.each(lambda descent, own: descent.step(own), state)

    def advance(self, state: State, count: Int[Array, ""]) -> State:
        """So many steps of every member; see GradientDescent."""
        return self.each(lambda d, own, k: d.advance(own, k), state, shared=(count,))

    def trace(self, state: State, gaps: Int[Array, " records"]) -> tuple[State, Info]:
        """Many steps of every member, measured between: members first, then records."""
        return self.each(lambda d, own, g: d.trace(own, g), state, shared=(gaps,))

    def every_step(self, state: State, count: int) -> tuple[State, Info]:
        """So many steps of every member, each measured before it: members first, then steps."""
        return self.each(lambda d, own: d.every_step(own, count), state)

    def model_at(self, state: State) -> AbstractModel:
        """The models with the weights of their states."""
        return self.each(lambda descent, own: descent.model_at(own), state)


def stack(trees: Sequence[Any]) -> Any:
    """Pytrees of one shape as one, with the members along a new first axis of every array.

    Args:
      trees: models, or DenoisingData.

    Raises:
      ValueError: if they differ in a number that is not an array.
    """

    def stacked(*leaves: Any) -> Any:
        if eqx.is_array(leaves[0]):
            return jnp.stack(leaves)
        if any(leaf != leaves[0] for leaf in leaves):
            domain = f"{leaves[0]!r} in every member, since it is no array"
            remedy = "train members that differ in it one after another"
            raise checks.refusal("members", leaves, domain, remedy)
        return leaves[0]

    return jax.tree.map(stacked, *trees)


def member(tree: Any, index: int) -> Any:
    """One member of a batched pytree.

    Args:
      tree: with the members along the first axis of every array.
      index: which.
    """
    return jax.tree.map(lambda leaf: leaf[index] if eqx.is_array(leaf) else leaf, tree)


def shard(ensemble: Ensemble, devices: Sequence[Any] | None = None) -> Ensemble:
    """Lays an ensemble out over devices, an equal share of the members on each.

    What is then computed of it runs on all of them: each member stays on its device.

    Args:
      ensemble: the runs.
      devices: which to use; all unless given.

    Raises:
      ValueError: if the members cannot be shared out equally.
    """
    devices = jax.devices() if devices is None else list(devices)
    if ensemble.members % len(devices):
        raise checks.refusal(
            "members",
            ensemble.members,
            f"a multiple of the number of devices, {len(devices)}",
            "add members or use fewer devices",
        )
    mesh = Mesh(np.array(devices), ("members",))

    def laid(tree: Any, spec: PartitionSpec) -> Any:
        arrays, rest = eqx.partition(tree, eqx.is_array)
        return eqx.combine(jax.device_put(arrays, NamedSharding(mesh, spec)), rest)

    split, whole = PartitionSpec("members"), PartitionSpec()
    return Ensemble(
        laid(ensemble.models, split),
        laid(ensemble.data, whole if ensemble.shares_data else split),
        laid(ensemble.learning_rates, split),
        ensemble.transform,
        laid(ensemble.objective, split),
    )
