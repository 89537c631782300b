"""One compiled program for each group of designs, and the content of a piece.

A program maps a design over a fixed number of rows, `batch` of them at a time. Its loop body has
one shape, so a row comes out the same in every bit wherever it stands and however pieces are cut.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import NamedSharding, PartitionSpec

from design_space.arrays import Array
from design_space.pipeline import evaluate_specification
from design_space.specification import Specification
from design_space.sweeps.groups import WHOLE, Designs, Group
from design_space.sweeps.measure import NO_PATH, Measured, measured

CACHE_BYTES = 1 << 22
"""On a CPU a batch is as many designs as keep the largest array within this much."""

MOST_AT_A_TIME = 256
"""On a CPU a batch is no larger: small groups are padded to whole batches."""

DEVICE_SHARE = 0.5
"""Part of a device's free memory that a program may take."""

_TRIED = 64


class Traced(NamedTuple):
    """The program of one design, traced.

    Attributes:
      row: numbers of one design -> its columns.
      methods: quantity -> its method in each row.
      reasons: why each row has no path KL, where no design of this kind has one, or None.
      largest: bytes of the largest array of one design.
    """

    row: Callable[[dict[str, Array]], dict[str, Array]]
    methods: dict[str, tuple[str, ...]]
    reasons: tuple[str | None, ...]
    largest: int


def first_design(designs: Designs, group: Group) -> Specification | None:
    """A design of the group that exists: the first among a few that count, else one anywhere."""
    spread = np.linspace(0, group.size - 1, _TRIED).astype(int)
    for row in dict.fromkeys([*designs.rows(group, 0, _TRIED), *spread]):
        try:
            return designs.specification(group, int(row))
        except ValueError:
            continue
    return None


def trace(designs: Designs, group: Group, seed: int, draws: int) -> Traced | None:
    """Traces the program of a group.

    Args:
      designs: the designs of the sweep.
      group: the group.
      seed: seed of what can only be sampled.
      draws: Monte-Carlo draws per noise level then.

    Returns:
      The program; None where designs can only be evaluated one at a time: their laws are planned
      from their numbers, their training is simulated, or none of those looked at exists or can be
      evaluated, so that each needs its own reason.
    """
    first = first_design(designs, group)
    if first is None or not designs.moving:
        return None
    shapes = {name: _shape(name, first) for name in designs.moving}
    methods: dict[str, tuple[str, ...]] = {}
    kept: list[tuple[str | None, ...]] = []

    def row(values: dict[str, Array]) -> dict[str, Any]:
        found = evaluate_specification(first.with_values(values), seed=seed, draws=draws)
        numbers, by, reasons = measured(found)
        if not set(reasons) <= {None, *NO_PATH}:
            raise _OneAtATimeError  # what is missing here may be had from the numbers themselves
        methods.update(by)
        kept.append(reasons)
        return dict(numbers)

    try:
        closed, out = jax.make_jaxpr(row, return_shape=True)(shapes)
    except _NOT_TOGETHER:
        return None
    structure = jax.tree.structure(out)
    run = jaxpr_as_fun(closed)

    def again(values: dict[str, Array]) -> dict[str, Array]:
        return jax.tree.unflatten(structure, run(*jax.tree.leaves(values)))

    return Traced(again, methods, kept[-1], _largest(closed.jaxpr))


class _OneAtATimeError(Exception):
    """A design whose budget needs concrete numbers."""


_NOT_TOGETHER = (
    _OneAtATimeError,
    jax.errors.JAXTypeError,
    jax.errors.JAXIndexError,
    ValueError,
    MemoryError,
)
"""What tracing raises where designs go one at a time."""


def _shape(name: str, design: Specification) -> jax.ShapeDtypeStruct:
    section, _, key = name.partition(".")
    kind = jnp.int64 if name in WHOLE else jnp.float64
    return jax.ShapeDtypeStruct(np.shape(design.sections[section][key]), kind)


def _inner(value: Any) -> Iterator[Any]:
    """The programs inside a parameter of an operation."""
    if isinstance(value, tuple | list):
        for each in value:
            yield from _inner(each)
    elif hasattr(value, "jaxpr"):
        yield value.jaxpr
    elif hasattr(value, "eqns"):
        yield value


def _largest(program: Any) -> int:
    """Bytes of the largest array that a program makes."""
    most = 0
    for operation in program.eqns:
        for made in operation.outvars:
            shape, kind = getattr(made.aval, "shape", ()), getattr(made.aval, "dtype", None)
            size = kind.itemsize if kind is not None and hasattr(kind, "itemsize") else 8
            most = max(most, int(np.prod(shape)) * size)
        for value in operation.params.values():
            most = max([most, *(_largest(inner) for inner in _inner(value))])
    return most


class Compiled(NamedTuple):
    """A compiled program.

    Attributes:
      run: numbers of `size` designs by field, and how many of them count -> columns, shape
        [size, rows], which hold anything where designs do not count.
      size: how many designs it takes.
      batch: how many it works on at a time, on each device.
      temporaries: bytes that a batch takes on each device while it is worked on.
      each: bytes of the numbers of one design, those that go in and those that come out.
      methods: quantity -> its method in each row.
      reasons: why each row has no path KL, where no design of this kind has one, or None.
    """

    run: Callable[[dict[str, np.ndarray], int], dict[str, Array]]
    size: int
    batch: int
    temporaries: int
    each: float
    methods: dict[str, tuple[str, ...]]
    reasons: tuple[str | None, ...]


def compiled(traced: Traced, designs: Designs, group: Group, most: int) -> Compiled:
    """Compiles the program of a group for pieces of at most `most` designs.

    On a CPU the batch keeps the largest array in the cache, and depends on the program only: the
    same on all machines. On a GPU it is the largest that fits into the device's memory.

    Args:
      traced: the program of one design.
      designs: the designs of the sweep.
      group: the group.
      most: designs of a piece.
    """
    devices = jax.local_devices()
    wanted = max(1, min(most, group.size))
    if devices[0].platform == "cpu":
        batch = min(MOST_AT_A_TIME, _power(max(1, CACHE_BYTES // max(1, traced.largest))))
    else:
        batch = _power(2 * -(-wanted // len(devices)) - 1)
    while True:
        share = batch * len(devices)
        size = max(2, -(-wanted // share)) * share  # slices of a whole array would be left out
        run, temporaries, kept = _compile(traced, designs, group, size, batch)
        if batch == 1 or temporaries + kept <= _free(devices[0]):
            each = kept * len(devices) / size
            kinds = (traced.methods, traced.reasons)
            return Compiled(run, size, batch, temporaries, each, *kinds)
        batch //= 2


def _power(number: int) -> int:
    """The largest power of two that is at most `number`."""
    return 1 << (number.bit_length() - 1)


def _free(device: Any) -> float:
    """Bytes that a program may take on a device; no limit where it does not tell."""
    told = device.memory_stats() or {}
    if "bytes_limit" not in told:
        return float("inf")
    return DEVICE_SHARE * (told["bytes_limit"] - told.get("bytes_in_use", 0))


def _compile(
    traced: Traced, designs: Designs, group: Group, size: int, batch: int
) -> tuple[Callable, int, int]:
    """The program for `size` designs, `batch` at a time, and the bytes that it takes on each device
    for a while, and for what goes in and comes out.
    """
    devices = jax.local_devices()
    mesh = jax.make_mesh((len(devices),), ("designs",), devices=devices)
    along = PartitionSpec("designs")

    def rows(values: dict[str, Array], batches: Array) -> dict[str, Array]:
        return _looped(traced.row, values, batch, batches)

    specs = (along, PartitionSpec())
    whole = jax.shard_map(rows, mesh=mesh, in_specs=specs, out_specs=along, check_vma=False)
    values = designs.values(group, np.zeros(1, dtype=int))
    sharding = NamedSharding(mesh, along)
    shapes = {
        name: jax.ShapeDtypeStruct(
            (size, *values[name].shape[1:]), values[name].dtype, sharding=sharding
        )
        for name in designs.moving
    }
    whole_number = jax.ShapeDtypeStruct(
        (), jnp.int64, sharding=NamedSharding(mesh, PartitionSpec())
    )
    program = jax.jit(whole).lower(shapes, whole_number).compile()
    used = program.memory_analysis()
    assert used is not None  # every backend of ours tells
    kept = used.output_size_in_bytes + used.argument_size_in_bytes

    def run(given: dict[str, np.ndarray], rows: int) -> dict[str, Array]:
        most = min(rows, size // len(devices))  # the first device's, which has the most
        batches = jax.device_put(np.int64(-(-most // batch)), whole_number.sharding)
        placed = {name: jax.device_put(x, sharding) for name, x in given.items()}
        return program(placed, batches)

    return run, used.temp_size_in_bytes, kept


def _looped(row: Callable, values: dict[str, Array], batch: int, batches: Array) -> dict:
    """Maps a function over the rows of arrays, `batch` at a time.

    How many batches there are is not known when it is compiled: a loop that runs once would become
    another program, with other roundings.
    """
    size = len(next(iter(values.values())))
    one = jax.eval_shape(row, {name: x[0] for name, x in values.items()})
    found = {name: jnp.zeros((size, *out.shape), out.dtype) for name, out in one.items()}

    def step(i: Array, found: dict[str, Array]) -> dict[str, Array]:
        own = {n: jax.lax.dynamic_slice_in_dim(x, i * batch, batch) for n, x in values.items()}
        new = jax.vmap(row)(own)
        put = jax.lax.dynamic_update_slice_in_dim
        return {name: put(found[name], new[name], i * batch, 0) for name in found}

    return jax.lax.fori_loop(0, batches, step, found)


class Batches:
    """The programs of the groups of one sweep, each compiled when first needed.

    Args:
      designs: the designs of the sweep.
      seed: seed of what can only be sampled.
      draws: Monte-Carlo draws per noise level then.
      most: designs of a piece.
    """

    def __init__(self, designs: Designs, seed: int, draws: int, most: int):
        self._designs = designs
        self._settings = (seed, draws)
        self._most = most
        self._locks = [threading.Lock() for _ in designs.groups]
        self._found: dict[int, Compiled] = {}

    def program(self, number: int) -> Compiled:
        """The program of a group, which has one."""
        with self._locks[number]:  # pieces of one group may be computed side by side
            if number not in self._found:
                group = self._designs.groups[number]
                traced = trace(self._designs, group, *self._settings)
                assert traced is not None  # the plan says that this group has a program
                self._found[number] = compiled(traced, self._designs, group, self._most)
            return self._found[number]

    def together(self, number: int, rows: np.ndarray) -> Measured:
        """Evaluates rows of a group by its program.

        Args:
          number: of the group.
          rows: of the group, at most as many as a piece holds.

        Returns:
          Columns of shape [designs, rows of a design], and methods and reasons of one design.
        """
        program, group = self.program(number), self._designs.groups[number]
        padded = np.concatenate([rows, np.full(program.size - len(rows), rows[-1])])
        values = self._designs.values(group, padded)
        found = program.run({name: values[name] for name in self._designs.moving}, len(rows))
        numbers = {name: np.asarray(column)[: len(rows)] for name, column in found.items()}
        return Measured(numbers, program.methods, program.reasons)
