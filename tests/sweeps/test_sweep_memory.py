"""Memory of a sweep: flat in the number of its designs."""

import json
import os
import subprocess
import sys

import pytest
from sweep_commands import specification

SWEEP = """
import resource, sys
from design_space.cli import app
sys.argv = ["design-space", "sweep", *sys.argv[1:]]
try:
    app()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""

MOST_MB = 300
"""What a sweep of thirty times as many designs may take more: a few pieces of 65,536 designs, which
the smaller one does not fill, and the table's columns, which are read one by one for the digest.
"""


def peak(folder, count, cache):
    """The largest memory of a sweep of 50 x `count` designs, in MB, and its JSON."""
    folder.mkdir()
    words = [str(specification(folder, count)), "--out", str(folder / "out"), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, *words],
        env=os.environ | {"DESIGN_SPACE_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stderr.split()[-1]) / 1024, json.loads(done.stdout)


@pytest.mark.slow
def test_memory_is_flat_in_the_number_of_designs(tmp_path):
    small, few = peak(tmp_path / "small", 200, tmp_path / "cache")
    large, many = peak(tmp_path / "large", 6000, tmp_path / "cache")
    assert (few["designs"], many["designs"]) == (10_000, 300_000)
    print(f"{small:.0f} MB, {large:.0f} MB")
    assert large - small < MOST_MB
