"""The works of `design-space bench` under pytest-benchmark.

`pytest tests/benchmarks --benchmark-only` times them at their full size, and
`--benchmark-save`, `--benchmark-compare` keep and compare seconds. Ratios to the floors are what
`design-space bench` is for.
"""

import jax
import pytest

from design_space.commands.bench.registry import FAMILIES

CASES = [
    pytest.param(name, key, id=f"{name}-{key}")
    for name, family in FAMILIES.items()
    for key in dict.fromkeys(k for line in family.lines for k in (line.task, line.floor))
]


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    """The works of a family, prepared once and kept until the next family's are asked for."""
    kept = {}

    def prepared(name):
        if name not in kept:
            kept.clear()
            family = FAMILIES[name]
            size = family.sizes(jax.default_backend())
            folder = tmp_path_factory.mktemp(name)
            kept[name] = {} if size is None else family.prepare(size, folder)
        return kept[name]

    return prepared


@pytest.mark.parametrize(("name", "key"), CASES)
def test_work(name, key, works, benchmark):
    family, found = FAMILIES[name], works(name)
    if key not in found:
        pytest.skip("this machine cannot do it")
    work = found[key]
    benchmark.group = name
    benchmark.extra_info.update(what=work.what, share=work.share)
    benchmark.pedantic(
        lambda: jax.block_until_ready(work.run()),
        setup=work.before,
        rounds=family.rounds,
        warmup_rounds=int(family.warm),
    )
