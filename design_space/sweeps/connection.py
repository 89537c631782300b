"""The connection to a Dask cluster: one that runs, or one that is started here for the sweep."""

import contextlib
import importlib
import logging
import os
import re
import subprocess
import time
import warnings
from collections.abc import Iterator
from typing import Any

from design_space.checks import refusal
from design_space.files import Tell

CONNECTING = 10.0
"""Seconds after which a scheduler that does not answer is refused."""

_REMEDY = (
    "start `dask scheduler` there, then `dask worker ADDRESS --nworkers 2 --nthreads 1` on each "
    "machine, or give local:N"
)
_LOCAL = re.compile(r"local:([1-9]\d*)")
_REMOTE = re.compile(r"(?:tcp://)?(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
_SILENT = logging.CRITICAL + 1
_POLL = 0.25
_JAX_SHARE_OF_GPU = 0.75
_SETTINGS = {
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.admin.large-graph-warning-threshold": "1GB",  # a manifest may be large
}


def dask_distributed() -> Any:
    """The package `distributed`, which only clusters need.

    Raises:
      ValueError: if it is not installed.
    """
    try:
        return importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        raise ValueError(
            "cluster: must have Dask's distributed installed, on this machine and on the workers'; "
            'pip install "design-space[cluster]"'
        ) from error


def parsed(address: str) -> int | str:
    """Reads the address of a cluster.

    Args:
      address: "local:N", "HOST:PORT" or "tcp://HOST:PORT".

    Returns:
      The number of workers to start here, or the address with its protocol.

    Raises:
      ValueError: if it is neither.
    """
    local, remote = _LOCAL.fullmatch(address), _REMOTE.fullmatch(address)
    if local:
        return int(local[1])
    if remote is None or address.startswith("local:") or not 0 < int(remote["port"]) < 65536:
        raise refusal(
            "cluster",
            address,
            "local:N with N at least 1, or the HOST:PORT of a Dask scheduler",
            "give local:4, say, or the address that `dask scheduler` prints",
        )
    return f"tcp://{remote['host']}:{remote['port']}"


@contextlib.contextmanager
def connected(address: str, retries: int) -> Iterator[Any]:
    """Connects to a cluster, or starts one here, and closes what it opened.

    Args:
      address: as `parsed` reads it.
      retries: how often a piece may lose its worker, on a cluster that is started here.

    Yields:
      Dask's client.

    Raises:
      ConnectionError: if the scheduler does not answer within 10 s.
      ValueError: if the address is malformed, or Dask is not installed.
    """
    where = parsed(address)
    distributed = dask_distributed()
    settings = importlib.import_module("dask").config.set(_SETTINGS)
    with settings, _quiet(), contextlib.ExitStack() as stack:
        target = where
        if isinstance(where, int):
            target = stack.enter_context(_started(distributed, where, retries))
        yield stack.enter_context(_client(distributed, target))


@contextlib.contextmanager
def _client(distributed: Any, where: Any) -> Iterator[Any]:
    """A client of the scheduler at `where`, an address or a cluster."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other versions: we compare them ourselves
            client = distributed.Client(where, timeout=CONNECTING, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"cluster = {where!r}: must be the address of a running Dask scheduler, and none "
            f"answered within {CONNECTING:g} s; {_REMEDY}"
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=CONNECTING)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Dask's log off the screen: what matters of it is said by our own messages."""
    noisy = ("distributed", "tornado")
    names = [name for name in logging.root.manager.loggerDict if name.startswith(noisy)]
    handlers = {handler for name in names for handler in logging.getLogger(name).handlers}
    levels = {handler: handler.level for handler in handlers}
    for handler in handlers:
        handler.setLevel(_SILENT)
    try:
        yield
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)


@contextlib.contextmanager
def _started(distributed: Any, workers: int, retries: int) -> Iterator[Any]:
    """A scheduler in this process and worker processes, on the loopback address only.

    The thread pools of JAX and of the linear algebra keep the size that they have in this process:
    Dask's own choice of one thread, or the variable NPROC, would change the order of large sums,
    and with it the last bits of the results.
    """
    scheduler = {
        "host": "127.0.0.1",
        "port": 0,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",  # without it Dask takes a fixed port
        "allowed_failures": retries,
    }
    worker = {
        "host": "127.0.0.1",
        "nthreads": 1,
        "memory_limit": 0,  # the sweep chooses its batches by the memory; Dask would kill
        "silence_logs": _SILENT,
        "preload": ["design_space.sweeps.workers"],
    }
    devices = visible_gpus()
    options = [{**worker, "env": environment(i, workers, devices)} for i in range(workers)]
    specification = {i: {"cls": distributed.Nanny, "options": options[i]} for i in range(workers)}
    with _same_environment():
        try:
            cluster = distributed.SpecCluster(
                scheduler={"cls": distributed.Scheduler, "options": scheduler},
                workers=specification,
                silence_logs=_SILENT,
            )
        except RuntimeError as error:
            raise ChildProcessError(
                f"cluster = 'local:{workers}': must be able to start worker processes ({error}); "
                'a script must call the sweep under `if __name__ == "__main__":`'
            ) from error
        with cluster:
            yield cluster


@contextlib.contextmanager
def _same_environment() -> Iterator[None]:
    """Puts back what Dask adds to the environment of this process when it starts workers."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if os.environ.get("JAX_PLATFORMS", "").startswith("cpu"):
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=CONNECTING)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listing.stdout.split() if listing.returncode == 0 else []


def environment(worker: int, workers: int, devices: list[str]) -> dict[str, str]:
    """The environment of a worker: one GPU, and of its memory an equal share if several have it.

    Args:
      worker: the number of the worker, from 0.
      workers: how many there are.
      devices: the GPUs, as CUDA_VISIBLE_DEVICES names them.

    Returns:
      Variables by name; none without GPUs.
    """
    if not devices:
        return {}
    place = worker % len(devices)
    found = {"CUDA_VISIBLE_DEVICES": devices[place]}
    sharing = len(range(place, workers, len(devices)))
    if sharing > 1:
        found["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{_JAX_SHARE_OF_GPU / sharing:.3f}"
    return found


def threads_of_workers(client: Any) -> dict[str, int]:
    """The workers of a cluster now: their threads by address.

    Workers of a cluster that was started here come back by themselves, unless they died while
    they were starting; those are started anew.

    Raises:
      ConnectionError: if the scheduler is gone.
    """
    if client.status != "running":
        raise _gone(client)
    try:
        found = client.nthreads()
    except (OSError, TimeoutError) as error:
        raise _gone(client) from error
    cluster = client.cluster
    if cluster is not None and len(found) < len(cluster.worker_spec):
        cluster.scale(len(cluster.worker_spec))
    return found


def _gone(client: Any) -> ConnectionError:
    return ConnectionError(
        f"cluster: must keep its scheduler while the sweep runs, but the connection to "
        f"{client.scheduler.address} was lost; start it again, and run the sweep again with "
        "--resume"
    )


def await_workers(client: Any, tell: Tell, patience: float) -> int:
    """Waits until a cluster has a worker, telling so once.

    Returns:
      The number of workers.

    Raises:
      ConnectionError: if none came within `patience` seconds, or the scheduler is gone.
    """
    address = client.scheduler.address
    end = time.monotonic() + patience
    told = False
    while not (workers := threads_of_workers(client)):
        if not told:
            tell(f"{address} has no workers; waiting for one up to {patience:g} s")
            told = True
        if time.monotonic() > end:
            start = f"run `dask worker {address} --nworkers 2 --nthreads 1` on each machine"
            remedy = start if client.cluster is None else "see why they cannot start"
            raise ConnectionError(
                f"cluster = {address!r}: must have workers, and none came within {patience:g} s; "
                f"{remedy}, and run the sweep again with --resume"
            )
        time.sleep(_POLL)
    return len(workers)
