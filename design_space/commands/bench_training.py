"""Timings of training beside those of its matrix products alone, for `design-space bench`."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import Array
from design_space.schedules.named import edm
from design_space.scores.model import AbstractModel
from design_space.scores.relu_network import ReluNetwork, relu_network
from design_space.targets.gaussian import Gaussian
from design_space.training.descent import GradientDescent
from design_space.training.ensemble import Ensemble, member
from design_space.training.objective import DenoisingData, denoising_data
from design_space.weightings.named import edm_weighting

DIM, POINTS, LEVELS = 4, 20, 10
"""Size of the training set: nN = 200 points."""

_ROUNDS = 5


class Comparison(eqx.Module):
    """Two tasks timed in turn, so that what else the machine does falls on both.

    Attributes:
      task: the first task.
      beside: the second task.
      seconds: median of the first, per step.
      beside_seconds: median of the second, per step.
      ratio: the target for the ratio of the two, as text; see `measured`.
      measured: the ratio that the target is about.
    """

    task: str
    beside: str
    seconds: float
    beside_seconds: float
    ratio: str
    measured: float


def training_set(points: int, levels: int) -> DenoisingData:
    """Standard normal data in four dimensions with noise from .05 to 3, in float32."""
    key = jax.random.key(0)
    drawn = Gaussian.isotropic(DIM, 1.0).sample(key, points)
    return denoising_data(drawn, edm(levels, 0.05, 3.0), edm_weighting(), key, "float32")


def _in_turn(works: list[Callable[[], Any]], steps: int) -> list[float]:
    """Median seconds a step of each task, the tasks taking turns."""
    times: list[list[float]] = [[] for _ in works]
    for work in works:
        jax.block_until_ready(work())
    for _ in range(_ROUNDS):
        for work, found in zip(works, times, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(work())
            found.append((time.perf_counter() - start) / steps)
    return [statistics.median(found) for found in times]


def _products(network: ReluNetwork, inputs: Array) -> Array:
    """The matrix products of one step with one trained layer: forward, back, and the gradient."""
    outputs = inputs @ network.first.T
    back = (outputs @ network.hidden[0].T @ network.last.T) @ network.last
    return back.T @ outputs


def _repeated(product: Callable[[Any, Array], Array]) -> Callable[[Any, Array, Array], Any]:
    """A product many times, each on the result of the one before."""

    def run(network: ReluNetwork, inputs: Array, count: Array) -> ReluNetwork:
        def once(_: Any, network: ReluNetwork) -> ReluNetwork:
            return network.with_weights((product(network, inputs),))

        return jax.lax.fori_loop(0, count, once, network)

    return run


def _advance(descent: Any, state: Any, count: Array) -> Any:
    return descent.advance(state, count)


def _inputs(data: DenoisingData) -> Array:
    flat = data.noisy.reshape(-1, DIM)
    return jnp.concatenate([flat, jnp.ones((flat.shape[0], 1), flat.dtype)], axis=1)


_RATE = 1e-7  # far below every stability limit here: what is timed is the step


def time_step(
    width: int, points: int = POINTS, levels: int = LEVELS, steps: int = 50, least: str = "< 1.5"
) -> Comparison:
    """Times one gradient descent step of one network beside its matrix products."""
    data, count = training_set(points, levels), jnp.asarray(steps, jnp.int32)
    network = relu_network(jax.random.key(1), DIM, width, 1, "float32")
    descent = GradientDescent(network, data, jnp.asarray(_RATE, jnp.float32))
    state, inputs = descent.init(), _inputs(data)
    step, products = eqx.filter_jit(_advance), eqx.filter_jit(_repeated(_products))
    ours, alone = _in_turn(
        [lambda: step(descent, state, count), lambda: products(network, inputs, count)], steps
    )
    size = f"m = {width}, L = 1, nN = {points * levels}, float32"
    return Comparison(
        f"gradient descent step, {size}",
        "its matrix products alone",
        ours,
        alone,
        least,
        ours / alone,
    )


def time_ensemble(members: int, width: int, steps: int = 20) -> list[Comparison]:
    """Times an ensemble's step beside its matrix products, and beside one network after another."""
    data, count = training_set(POINTS, LEVELS), jnp.asarray(steps, jnp.int32)
    keys = jax.random.split(jax.random.key(1), members)
    models: AbstractModel = jax.vmap(lambda k: relu_network(k, DIM, width, 1, "float32"))(keys)
    rates = jnp.full(members, _RATE, jnp.float32)
    ensemble = Ensemble(models, data, rates)
    state, inputs = eqx.filter_jit(lambda e: e.init())(ensemble), _inputs(data)
    together = eqx.filter_jit(_advance)
    products = eqx.filter_jit(_repeated(jax.vmap(_products, in_axes=(0, None))))
    alone = [GradientDescent(member(models, i), data, rates[i]) for i in range(members)]
    starts = [descent.init() for descent in alone]
    one = eqx.filter_jit(lambda descent, state: descent.step(state)[0])

    def apart() -> Any:
        states = starts
        for _ in range(steps):
            states = [one(d, s) for d, s in zip(alone, states, strict=True)]
        return states

    ours, bare, separate = _in_turn(
        [
            lambda: together(ensemble, state, count),
            lambda: products(models, inputs, count),
            apart,
        ],
        steps,
    )
    task = f"step of {members} networks of width {width} together"
    each = "the same networks one by one, step by step"
    return [
        Comparison(task, "its matrix products alone", ours, bare, "< 2", ours / bare),
        Comparison(each, "together", separate, ours, "> 3", separate / ours),
    ]


def comparisons() -> list[Comparison]:
    """Every comparison that this machine can hold: the large one only on a GPU."""
    found = [time_step(1024), *time_ensemble(64, 64)]
    if jax.default_backend() == "gpu":
        found.append(time_step(4096, points=64, levels=64, least="< 2"))
    return found
