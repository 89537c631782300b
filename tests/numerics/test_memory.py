"""What is left of memory, and of the maps that compiled programs hold."""

import sys

import jax
import jax.numpy as jnp
import pytest

from design_space.numerics.memory import available_bytes, memory_maps, release_programs


def test_some_memory_is_available():
    found = available_bytes()
    assert found is None or 2**20 < found < 2**50


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="maps are counted on Linux")
def test_released_programs_give_their_maps_back_and_still_run():
    release_programs()
    before = memory_maps()
    functions = [jax.jit(lambda x, k=k: jnp.sort(x) * k) for k in range(20)]
    for k, function in enumerate(functions):
        function(jnp.ones(k + 2))
    full = memory_maps()
    assert full > before + 20  # several maps for each program
    release_programs(above=10 * full)
    assert memory_maps() > before + 20
    release_programs(above=1)
    assert memory_maps() < before + (full - before) / 2
    assert functions[3](jnp.ones(5))[0] == 3
