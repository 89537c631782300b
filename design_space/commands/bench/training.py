"""Training beside its matrix products alone: one network, and many at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import Array
from design_space.commands.bench.timing import Family, Line, Target, Work
from design_space.schedules.named import edm
from design_space.scores.model import AbstractModel
from design_space.scores.relu_network import ReluNetwork, relu_network
from design_space.targets.gaussian import Gaussian
from design_space.training.descent import GradientDescent
from design_space.training.ensemble import Ensemble, member
from design_space.training.objective import DenoisingData, denoising_data
from design_space.weightings.named import edm_weighting

DIM = 4
"""Dimension of the data."""

_RATE = 1e-7  # far below every stability limit here: what is timed is the step


class StepSize(NamedTuple):
    """One network.

    Attributes:
      width: m.
      points: n.
      levels: N.
      steps: of one run.
    """

    width: int
    points: int = 20
    levels: int = 10
    steps: int = 50

    @property
    def words(self) -> str:
        """The sizes, as the table shows them."""
        return f"m = {self.width}, L = 1, nN = {self.points * self.levels}, float32"


class EnsembleSize(NamedTuple):
    """Many networks.

    Attributes:
      members: how many.
      one: the size of each.
    """

    members: int
    one: StepSize


def training_set(points: int, levels: int) -> DenoisingData:
    """Standard normal data in four dimensions with noise from .05 to 3, in float32."""
    key = jax.random.key(0)
    drawn = Gaussian.isotropic(DIM, 1.0).sample(key, points)
    return denoising_data(drawn, edm(levels, 0.05, 3.0), edm_weighting(), key, "float32")


def _products(first: Array, hidden: Array, last: Array, inputs: Array) -> Array:
    """The matrix products of one step with one trained layer: forward, back, and the gradient."""
    outputs = inputs @ first.T
    back = (outputs @ hidden.T @ last.T) @ last
    return back.T @ outputs


def _repeated(product: Callable[..., Array]) -> Callable[[Any, Array, Array], Array]:
    """A product many times, each on the result of the one before."""

    def run(networks: ReluNetwork, inputs: Array, count: Array) -> Array:
        def once(_: Any, hidden: Array) -> Array:
            return product(networks.first, hidden, networks.last, inputs)

        return jax.lax.fori_loop(0, count, once, networks.hidden[0])

    return run


def _advance(descent: Any, state: Any, count: Array) -> Any:
    return descent.advance(state, count)


def _inputs(data: DenoisingData) -> Array:
    flat = data.noisy.reshape(-1, DIM)
    return jnp.concatenate([flat, jnp.ones((flat.shape[0], 1), flat.dtype)], axis=1)


def prepare_step(size: StepSize, folder: Path) -> dict[str, Work]:
    """The works: gradient descent on one network, and its matrix products alone.

    Args:
      size: the network and its training set.
      folder: not used; nothing is written.
    """
    data, count = training_set(size.points, size.levels), jnp.asarray(size.steps, jnp.int32)
    network = relu_network(jax.random.key(1), DIM, size.width, 1, "float32")
    descent = GradientDescent(network, data, jnp.asarray(_RATE, jnp.float32))
    state, inputs = descent.init(), _inputs(data)
    step, products = eqx.filter_jit(_advance), eqx.filter_jit(_repeated(_products))
    return {
        "step": Work(
            f"gradient descent step, {size.words}",
            lambda: step(descent, state, count),
            share=size.steps,
        ),
        "products": Work(
            "its matrix products alone",
            lambda: products(network, inputs, count),
            share=size.steps,
        ),
    }


def prepare_ensemble(size: EnsembleSize, folder: Path) -> dict[str, Work]:
    """The works: networks trained together, their matrix products, and one after another.

    Args:
      size: the networks and their training set.
      folder: not used; nothing is written.
    """
    one, share = size.one, size.one.steps
    data, count = training_set(one.points, one.levels), jnp.asarray(share, jnp.int32)
    keys = jax.random.split(jax.random.key(1), size.members)
    models: AbstractModel = jax.vmap(lambda k: relu_network(k, DIM, one.width, 1, "float32"))(keys)
    rates = jnp.full(size.members, _RATE, jnp.float32)
    ensemble = Ensemble(models, data, rates)
    state, inputs = eqx.filter_jit(lambda e: e.init())(ensemble), _inputs(data)
    together = eqx.filter_jit(_advance)
    products = eqx.filter_jit(_repeated(jax.vmap(_products, in_axes=(0, 0, 0, None))))
    alone = [GradientDescent(member(models, i), data, rates[i]) for i in range(size.members)]
    starts = [descent.init() for descent in alone]
    step = eqx.filter_jit(lambda descent, state: descent.step(state)[0])

    def apart() -> Any:
        states = starts
        for _ in range(share):
            states = [step(d, s) for d, s in zip(alone, states, strict=True)]
        return states

    what = f"step of {size.members} networks together, each {one.words}"
    bare = "their matrix products alone"
    return {
        "together": Work(what, lambda: together(ensemble, state, count), share=share),
        "products": Work(bare, lambda: products(models, inputs, count), share=share),
        "apart": Work("the same networks one by one, step by step", apart, share=share),
    }


STEP = Family(
    prepare_step,
    lambda platform: StepSize(1024),
    StepSize(8, points=3, levels=2, steps=2),
    (Line("descent-step", "step", "products", Target("ratio", 1.5)),),
)

LARGE_STEP = STEP._replace(
    sizes=lambda platform: None if platform == "cpu" else StepSize(4096, points=64, levels=64),
    lines=(Line("descent-step-large", "step", "products", Target("ratio", 2.0)),),
)

ENSEMBLE = Family(
    prepare_ensemble,
    lambda platform: EnsembleSize(64, StepSize(64, steps=20)),
    EnsembleSize(2, StepSize(4, points=3, levels=2, steps=2)),
    (
        Line("ensemble-step", "together", "products", Target("ratio", 2.0)),
        Line("ensemble-apart", "together", "apart", Target("ratio", 1 / 3)),
    ),
)
