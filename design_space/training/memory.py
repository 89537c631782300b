"""What a training run needs of memory, told before it starts rather than by a killed process."""

from typing import NoReturn

from design_space.numerics.memory import GIB, available_bytes
from design_space.scores.model import AbstractModel
from design_space.training.objective import DenoisingData

_COPIES = 4
"""Weights, initial weights, gradient and update."""

_KEPT = 2
"""Each layer's values are held once forward and once backward."""


def check_draws(samples: int, levels: int, dim: int, available: int | None = None) -> None:
    """Refuses points and noise that do not fit, before they are drawn.

    Args:
      samples: number n of points.
      levels: number N of noise levels.
      dim: dimension d of the data.
      available: bytes that may be used; asked of the device unless given.

    Raises:
      MemoryError: names the sizes.
    """
    available = available_bytes() if available is None else available
    needed = 8 * samples * (levels + 1) * dim
    if available is not None and needed > available:
        raise MemoryError(
            f"samples = {samples}: out of memory; that many points with noise at {levels} levels "
            f"in dimension {dim} take {needed / GIB:.3g} GiB, {available / GIB:.3g} GiB are free; "
            "take fewer samples or levels"
        )


def needed_bytes(model: AbstractModel, data: DenoisingData) -> int:
    """About how many bytes one run holds at its peak.

    Args:
      model: one model, not an ensemble.
      data: what its loss is made of.
    """
    points, levels, dim = data.noise.shape
    weights = model.weights()
    item = data.points.dtype.itemsize
    parameters = sum(matrix.size * matrix.dtype.itemsize for matrix in weights)
    per_point = sum(sum(matrix.shape) for matrix in weights) + 3 * dim
    return _COPIES * parameters + _KEPT * item * points * levels * per_point


def check_memory(
    model: AbstractModel, data: DenoisingData, members: int, available: int | None = None
) -> None:
    """Refuses a run that does not fit.

    Args:
      model: one model, not an ensemble.
      data: what one loss is made of.
      members: how many run at once.
      available: bytes that may be used; asked of the device unless given.

    Raises:
      MemoryError: names the sizes, and a batch that fits.
    """
    available = available_bytes() if available is None else available
    if available is not None and members * needed_bytes(model, data) > available:
        refuse(model, data, members, available)


def refuse(
    model: AbstractModel, data: DenoisingData, members: int, available: int | None
) -> NoReturn:
    """Raises the MemoryError of a run that does not fit.

    Args: as for `check_memory`.
    """
    one = needed_bytes(model, data)
    points, levels, dim = data.noise.shape
    shapes = ", ".join("x".join(map(str, matrix.shape)) for matrix in model.weights())
    said = (
        f"members = {members}: out of memory; trained matrices {shapes}, {points} points x "
        f"{levels} levels in dimension {dim}, {data.points.dtype}: about {one / GIB:.3g} GiB a run"
    )
    if available is None:
        raise MemoryError(f"{said}; train fewer members at once, or take fewer points or neurons")
    fit = available // one
    remedy = (
        f"{fit} members fit at once; train them in batches of that size"
        if fit
        else "one run does not fit; take fewer points, levels or neurons, or float32"
    )
    raise MemoryError(f"{said}, {available / GIB:.3g} GiB are free; {remedy}")
