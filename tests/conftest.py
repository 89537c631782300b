"""Test set-up: float64, strict rank promotion, and shapes checked by beartype."""

import os
from importlib.metadata import version

from jaxtyping import install_import_hook

os.environ["DESIGN_SPACE_CACHE"] = "off"  # not the user's; `pytest_configure` chooses one

COMPILING = (
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
"""Flags with which XLA compiles in two thirds of the time: compilation is most of what tests take.

What is compiled runs as fast, and differs by rounding from what a user's process computes; the
analyses, which CI reproduces, are compiled as a user's are.
"""

if version("jaxlib").startswith("0.10."):  # a flag that XLA does not know ends the process
    os.environ["XLA_FLAGS"] = " ".join([*COMPILING, os.environ.get("XLA_FLAGS", "")])

_hook = install_import_hook(["design_space"], "beartype.beartype")
_hook.__enter__()  # before the first import of the package, for the whole session

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

settings.register_profile(
    "house",
    deadline=None,  # the first example compiles
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


def pytest_configure(config):
    """What is compiled is shared by the workers and kept for the next run, below .pytest_cache.

    A program's key is a hash of its code after tracing, of JAX and of the flags, so that a changed
    source is compiled anew. JAX does not write an entry at once: a worker that reads half of one is
    warned, which pyproject.toml lets pass, and compiles for itself.
    """
    if config.pluginmanager.hasplugin("cacheprovider"):
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("jax")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


COMPILING_FOLDERS = {"analyses", "optimal"}
"""Where slow tests, too, compile for longer than they run; elsewhere there are particles."""


def _runs_long(item):
    """Whether a test runs for longer than it compiles."""
    slow = item.get_closest_marker("slow") is not None
    return slow and COMPILING_FOLDERS.isdisjoint(item.path.parts)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Without optimizations, except where they pay: half the time of a test that compiles, twice
    that of a million particles.
    """
    jax.config.update("jax_disable_most_optimizations", not _runs_long(item))
    return (yield)


MOST_MAPS = 25_000
"""Memory maps of a process from which on the programs of earlier test files are let go."""


@pytest.fixture(scope="module", autouse=True)
def _programs_are_released():
    """A process that runs thousands of tests would reach the system's limit of memory maps."""
    yield
    from design_space.numerics.memory import release_programs

    release_programs(above=MOST_MAPS)
