"""A scheduler and workers as their users start them, in processes of their own, on loopback."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

DASK = str(Path(sys.executable).with_name("dask"))
HERE = Path(__file__).parent
LOOPBACK = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
LONG = 60.0
"""Seconds after which something that should have happened has not."""


def until(condition, what):
    """Waits until the condition holds."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, f"not within {LONG:g} s: {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def running(*words, folder, paths=(), **environment):
    """A process of Dask, ended with its children on leaving."""
    paths = os.pathsep.join(str(path) for path in (*paths, HERE))
    with open(folder / "log.txt", "a") as log:
        process = subprocess.Popen(
            [DASK, *words],
            env=os.environ | {"PYTHONPATH": paths} | environment,
            stdout=log,
            stderr=log,
            cwd=folder,
        )
        try:
            yield process
        finally:
            family = [*psutil.Process(process.pid).children(recursive=True)]
            process.kill()
            process.wait()
            for child in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()


@contextlib.contextmanager
def scheduler(folder):
    """A scheduler without workers; yields its address and its process."""
    file = folder / "scheduler.json"
    words = ("scheduler", *LOOPBACK, "--port", "0", "--scheduler-file", str(file))
    with running(*words, folder=folder) as process:
        until(lambda: file.exists() and file.read_text(), "a scheduler")
        yield json.loads(file.read_text())["address"], process


def workers(address, *options, folder, **more):
    """Workers of the scheduler at an address."""
    words = ("worker", address, *LOOPBACK, "--local-directory", str(folder), *options)
    return running(*words, folder=folder, **more)


def worker_processes(of=None):
    """The processes that compute, below a process (this one unless given)."""

    def computes(process):
        with contextlib.suppress(psutil.Error):
            words = " ".join(process.cmdline())
            return "spawn_main" in words or "Dask Worker" in words
        return False

    children = psutil.Process(of).children(recursive=True)
    return [process for process in children if computes(process)]
