"""Designs of training: many small networks with their data, drawn alike in every shape, measured
at initialization and along gradient descent.

A seed fixes data law, range of noise levels and weighting whatever the shape is, so that a seed's
exponents in n, N, d and m are its own, and the spread over seeds gives an interval.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from analyses.statement import Observations
from design_space.bounds.convergence import TrainingSizes
from design_space.numerics.statistics import mean_estimate
from design_space.scores.relu_network import ReluNetwork
from design_space.training.descent import GradientDescent
from design_space.training.objective import DenoisingData
from design_space.training.tangent_kernel import loss_kernel

WEIGHTINGS = ("bell", "uniform", "song", "equal")
"""EDM's bell, beta_j = 1, beta_j = ln(sigma_j/sigma_{j-1}), and equal a_j; designs may also have
"steep", beta_j = 1/sigma_j."""

LAWS = {"gaussian": 1.0, "sphere": 1.0, "short": 0.01, "long": 100.0}
"""N(0, I), and uniform on spheres of radius sqrt(d) times the number; A1 is for the first two."""


FIRST_SEED = 0
"""The seeds of the ledger begin here; its constants were chosen on them, and a test checks them on
others.
"""


@dataclass(frozen=True)
class TrainingDesign:
    """Sizes and numbers of one training run, as plain numbers.

    Attributes:
      points: n.
      grid: noise levels sigma_0 < ... < sigma_N, of which the first is not trained.
      dim: d.
      width: m.
      depth: L.
      weighting: one of WEIGHTINGS, or "steep"; scaled so that max_j a_j = 1.
      law: of the data, one of LAWS.
      seed: of data, noise and weights.
    """

    points: int = 4
    grid: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0)
    dim: int = 8
    width: int = 64
    depth: int = 1
    weighting: str = "bell"
    law: str = "gaussian"
    seed: int = 0

    @property
    def levels(self) -> int:
        """N."""
        return len(self.grid) - 1

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """n, N, d, m and L: what is batched has the same."""
        return (self.points, self.levels, self.dim, self.width, self.depth)

    @property
    def sizes(self) -> TrainingSizes:
        """The same for the bounds."""
        n, levels, d, m, depth = self.shape
        return TrainingSizes(n, levels, d, m, depth)

    def __str__(self) -> str:
        """The design in one line."""
        n, levels, d, m, depth = self.shape
        words = f"n {n}, N {levels}, d {d}, m {m}, L {depth}, {self.weighting}, {self.law}"
        return f"{words}, σ {self.grid[0]:.3g} to {self.grid[-1]:.3g}, seed {self.seed}"


def of_seeds(count: int, levels: int = 4, **sizes: Any) -> tuple[TrainingDesign, ...]:
    """Designs of one shape: weighting, data law and range of noise levels follow from the seed.

    Args:
      count: how many, for the seeds FIRST_SEED, FIRST_SEED + 1, ...
      levels: N.
      sizes: fields of the designs that do not follow from the seed.
    """
    found = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        random = np.random.default_rng([7, seed])
        low, high = 0.1 * 4 ** random.random(), 1 + random.random()
        grid = np.linspace(np.cbrt(low), np.cbrt(high), levels + 1) ** 3  # EDM's with rho = 3
        own = {
            "weighting": WEIGHTINGS[seed % 4],
            "law": ("gaussian", "sphere")[seed // 4 % 2],
            "seed": seed,
        }
        found.append(TrainingDesign(**({"grid": tuple(grid.tolist())} | own | sizes)))
    return tuple(found)


def _levels(design: TrainingDesign) -> tuple[np.ndarray, np.ndarray]:
    """sigma_j and beta_j, j = 1, ..., N, with max_j a_j = 1."""
    grid = np.asarray(design.grid)
    sigmas = grid[1:]
    beta = {
        "bell": np.exp(-0.5 * (np.log(sigmas) + 0.5) ** 2) * (sigmas + 1 / sigmas) * np.diff(grid),
        "uniform": np.ones(design.levels),
        "song": np.log(sigmas / grid[:-1]),
        "equal": sigmas**-2,
        "steep": 1 / sigmas,
    }[design.weighting]
    return sigmas, beta / np.max(beta * sigmas**2)


def drawn(design: TrainingDesign) -> tuple[ReluNetwork, DenoisingData]:
    """The network and the data of a design.

    The numbers are drawn by NumPy: JAX' generator would be compiled anew for every shape.

    Args:
      design: the design.
    """
    n, levels, d, m, depth = design.shape
    random = np.random.default_rng([11, design.seed])
    x, noise = random.standard_normal((n, d)), random.standard_normal((n, levels, d))
    if design.law != "gaussian":
        x = x * LAWS[design.law] * np.sqrt(d / np.sum(x**2, axis=1, keepdims=True))
    weights = [random.standard_normal((m, d + 1))]
    weights += [random.standard_normal((m, m)) for _ in range(depth)]
    first, *hidden = (w * np.sqrt(2 / m) for w in weights)
    last = random.standard_normal((d, m)) / np.sqrt(d)
    data = DenoisingData(*map(jnp.asarray, (x, noise, *_levels(design))))
    hidden = tuple(jnp.asarray(w) for w in hidden)
    return ReluNetwork(jnp.asarray(first), hidden, jnp.asarray(last)), data


def stacked(designs: Sequence[TrainingDesign]) -> tuple[ReluNetwork, DenoisingData]:
    """Networks and data of designs of one shape, with the designs along the first axis.

    Args:
      designs: of one shape.
    """
    built = [drawn(design) for design in designs]
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *built)


@functools.cache
def _compiled(measure: Callable) -> Callable:
    return eqx.filter_jit(jax.vmap(measure))


def measured(
    measure: Callable[..., Any], designs: Sequence[TrainingDesign], *rest: np.ndarray
) -> Any:
    """A measurement of designs of one shape, compiled once for each shape.

    Args:
      measure: of a network, its data and an entry of each of `rest`; a function of a module.
      designs: of one shape.
      rest: more numbers, with the designs along the first axis.

    Returns:
      What `measure` returns, with the designs along the first axis, as NumPy arrays.
    """
    found = _compiled(measure)(*stacked(designs), *map(jnp.asarray, rest))
    return jax.tree.map(np.asarray, found)


STEPS = 48
"""Steps of every run."""


class Descent(NamedTuple):
    """A run of gradient descent, measured at every step; designs along the first axis.

    Attributes:
      losses: loss(k), k = 0, ..., STEPS.
      scales: a_{j*(k)}, k = 0, ..., STEPS - 1.
      gradients: |grad_{W_l} loss|^2 at these steps, shape [..., STEPS, layers].
      levels: the mean over i of f_ij at these steps, shape [..., STEPS, levels].
    """

    losses: Any
    scales: Any
    gradients: Any
    levels: Any


def descended(model: ReluNetwork, data: DenoisingData, learning_rate: Any) -> Descent:
    """STEPS steps of gradient descent."""
    descent = GradientDescent(model, data, learning_rate)

    def once(state: Any, _: None) -> tuple[Any, tuple]:
        state, info = descent.step(state)
        scale = data.scales[info.where[1]]
        return state, (info.loss, scale, info.gradient_norms**2, info.level_losses)

    last, (losses, *rest) = jax.lax.scan(once, descent.init(), length=STEPS)
    return Descent(jnp.append(losses, descent.loss(last.weights)[0]), *rest)


class Batch(NamedTuple):
    """Designs of one shape with their kernels' ends and a run at h = 1/lambda_max.

    Attributes:
      designs: one for each seed.
      least, most: lambda_min(K) and lambda_max(K) at initialization, [seeds].
      run: gradient descent at half of the stability limit.
    """

    designs: tuple[TrainingDesign, ...]
    least: np.ndarray
    most: np.ndarray
    run: Descent


def spectrum_ends(kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """lambda_min, at least 0, and lambda_max of kernels [..., rows, rows]."""
    found = np.linalg.eigvalsh(kernels)
    return np.maximum(found[..., 0], 0.0), found[..., -1]


def batch(designs: Sequence[TrainingDesign]) -> Batch:
    """Measures designs of one shape."""
    least, most = spectrum_ends(measured(loss_kernel, designs))
    return Batch(tuple(designs), least, most, measured(descended, designs, 1 / most))


AXES: dict[str, tuple[int, ...]] = {
    "points": (2, 4, 8),
    "levels": (2, 4, 8),
    "dim": (4, 8, 16),
    "width": (64, 128),
    "depth": (1, 2),
}
"""The sizes of the ensemble's designs: each is changed with the others as usual."""

SEEDS = 52
_USUAL = {"points": 4, "levels": 4, "dim": 8, "width": 64, "depth": 1}
_ALONG = {tuple((_USUAL | {axis: size}).items()): None for axis in AXES for size in AXES[axis]}
SHAPES = (*_ALONG, tuple((_USUAL | {"points": 1, "levels": 1, "width": 256}).items()))
"""The shapes of the ensemble, 10 of them, the usual one third. The last has n = N = 1; it is wide,
as it is h m that decides how far weights move there."""


_MEASURING = threading.Lock()


def ensemble() -> tuple[Batch, ...]:
    """The designs of every shape, measured once in a process: threads wait for each other."""
    with _MEASURING:
        return _ensemble()


@functools.cache
def _ensemble() -> tuple[Batch, ...]:
    return tuple(batch(of_seeds(SEEDS, **dict(shape))) for shape in SHAPES)


def along(axis: str, values: Sequence[np.ndarray]) -> tuple[tuple[int, ...], np.ndarray]:
    """The sizes along one axis, and the values of the ensemble's shapes there, [sizes, seeds].

    Args:
      axis: a key of AXES.
      values: of each of the ensemble's shapes, shape [seeds].
    """
    wanted = [tuple((_USUAL | {axis: size}).items()) for size in AXES[axis]]
    return AXES[axis], np.stack([values[SHAPES.index(shape)] for shape in wanted])


def exponent(x: Sequence[float], y: np.ndarray) -> tuple[float, float]:
    """The mean over seeds of the slope of ln y on ln x, and its 99 % interval's half-width.

    Every seed has its own least-squares slope; the interval is Student's.

    Args:
      x: sizes, above 0.
      y: values above 0, shape [sizes, seeds].
    """
    across = np.log(np.asarray(x, float))
    across = across - across.mean()
    slopes = across @ np.log(y) / np.sum(across**2)
    found = mean_estimate(jnp.asarray(slopes))
    return float(found.value), float(found.error)


Part = tuple[np.ndarray, np.ndarray, Sequence[TrainingDesign]]
"""Both sides of a claim on designs, shapes [designs]."""


def seen(parts: Sequence[Part]) -> Observations:
    """Both sides of a claim on designs of several shapes; rounding is their only error.

    Args:
      parts: for each shape.
    """
    left, right = (np.concatenate([np.ravel(part[i]) for part in parts]) for i in range(2))
    labels = tuple(str(design) for part in parts for design in part[2])
    rounding = 1e-9 * np.maximum(np.abs(left), np.abs(right))
    return Observations(left, right, rounding, labels, len(labels))


def fitted(fits: dict[str, tuple[float, float]], claimed: Sequence[float], count: int, left: bool):
    """Fitted exponents against claimed ones, with 99 % intervals taken one by one.

    Args:
      fits: the exponent and its half-width, by name.
      claimed: exponents.
      count: designs behind the fits.
      left: whether the fitted ones are the left side.
    """
    found, error = np.array(list(fits.values())).T
    sides = (found, np.asarray(claimed, float))
    names = tuple(f"exponent {name} (± {e:.2g})" for name, (_, e) in fits.items())
    return Observations(*(sides if left else sides[::-1]), error, names, count, confidence=0.99)


ROUNDED = 1e-20
"""Of the initial loss: below it a loss may be rounding."""


def tightest(run: Descent, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ratio loss(k)/loss(0) and a bound on it at the step where they come closest, [designs].

    Steps at which rounding is all that is left of the loss do not count.

    Args:
      run: the runs.
      right: the bound, k = 1, ..., STEPS, shape [designs, STEPS].
    """
    left = run.losses[:, 1:] / run.losses[:, :1]
    with np.errstate(divide="ignore", over="ignore"):
        at = np.argmax(np.where(left > ROUNDED, left / right, -1.0), axis=1)[:, None]
    found = [np.take_along_axis(side, at, 1)[:, 0] for side in (left, right)]
    return found[0], found[1]
