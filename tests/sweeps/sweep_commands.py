"""`design-space sweep` as a process of its own."""

import json
import os
import subprocess
import sys
import time

SMALL = (
    '[target]\nkind = "gaussian"\ndim = 1\nstd = 0.5\n[schedule]\nkind = "edm"\nsteps = 2\n'
    '[sweep]\n"target.std" = {from = 0.1, to = 1.0, count = 50}\n'
    '"schedule.rho" = {from = 2.0, to = 12.0, count = COUNT}\n'
)
"""Designs that take microseconds each, after a program that takes seconds to compile."""


def specification(folder, count):
    """A file of 50 x `count` designs."""
    path = folder / "sweep.toml"
    path.write_text(SMALL.replace("COUNT", str(count)))
    return path


LIMITED = (
    "import os, resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])\n"
)
"""Runs Python with a limit on the size of files; a fork of a process with JAX could not."""


def started(spec, out, *words, cache, most=None, **more):
    """The process; programs are compiled once per `cache`, no file is larger than `most` bytes."""
    limit = [] if most is None else ["-c", LIMITED, str(most)]
    command = [sys.executable, *limit, "-m", "design_space.cli", "sweep", str(spec)]
    command += ["--out", str(out)]
    environment = os.environ | {"DESIGN_SPACE_CACHE": str(cache)} | more
    return subprocess.Popen(
        [*command, *(str(word) for word in words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finished(process, seconds=300):
    """Exit status, standard output and standard error."""
    output, errors = process.communicate(timeout=seconds)
    return process.returncode, output, errors


def report(spec, out, *words, cache, **more):
    """The JSON of a sweep that must succeed."""
    status, output, errors = finished(started(spec, out, "--json", *words, cache=cache, **more))
    assert status == 0, errors
    return json.loads(output)


def pieces(out):
    """The files of the pieces that are there: each by what tells one file from another."""
    found = {}
    for path in (out / "pieces").glob("[0-9]*.parquet"):
        there = path.stat()
        found[path.name] = (there.st_ino, there.st_mtime_ns, there.st_size)
    return found


def await_pieces(out, count, process, seconds=120):
    """Waits until so many pieces are there, or the process has ended."""
    end = time.monotonic() + seconds
    while len(pieces(out)) < count and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)
