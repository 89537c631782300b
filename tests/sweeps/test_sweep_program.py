"""Programs: a row comes out the same in every bit wherever and with whatever it is computed."""

import json
import os
import random
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pytest
from sweep_designs import GAUSSIAN, MIXTURE, TRAINED, given, planned, tables, whole

from design_space.sweeps import content
from design_space.sweeps.content import designs_of
from design_space.sweeps.program import Batches, compiled, first_design, trace

AXES = (
    'schedule.rho = {from = 1.0, to = 9.0, count = 9}\nschedule.kind = ["edm", "song"]\n'
    'schedule.sigma_min = {from = 0.001, to = 1.0, count = 10, spacing = "log"}\n'
)
CASES = {
    "gaussian": (GAUSSIAN, AXES + "target.variances = [[1, 2], [0.5, 0]]\n"),
    "shifted": (GAUSSIAN + '[score]\nkind = "shifted"\nshift = [0.1, 0.2]\n', AXES),
    "trained": (TRAINED, "schedule.rho = [3, 7, 8]\ntraining.seed = {seeds = 7}\n"),
    "bad": (GAUSSIAN, AXES + "schedule.sigma_max = [0.01, 80, 1e200]\n"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_table_is_the_same_in_every_bit_however_it_is_cut(case):
    text, axes = CASES[case]
    found = [whole(planned(text, axes, piece=piece)) for piece in (64, 7, 4096)]
    assert found[0].num_rows > 20
    assert all(found[0].equals(other) for other in found[1:])


def test_pieces_of_one_design():
    text, axes = GAUSSIAN, "schedule.rho = {from = 1.0, to = 9.0, count = 9}\n"
    one = whole(planned(text, axes, piece=1))
    assert one.equals(whole(planned(text, axes, piece=64)))


def test_a_sweep_of_few_designs_is_a_part_of_a_larger_one():
    values = [1.5, 2.0, 7.0, 9.0, 3.0]
    large = whole(planned(GAUSSIAN, f"schedule.rho = {values}\ntarget.mean = [[1, 2], [3, 4]]\n"))
    small = whole(planned(GAUSSIAN, "schedule.rho = [7]\ntarget.mean = [[3, 4]]\n"))
    assert large.slice(5, 1).drop(["design"]).equals(small.drop(["design"]))


def test_the_order_of_pieces_and_threads_do_not_matter():
    manifest = planned(*CASES["gaussian"], piece=16)
    expected = whole(manifest)
    order = list(range(len(manifest["pieces"])))
    random.Random(0).shuffle(order)
    assert whole(manifest, order).equals(expected)
    content._OPENED.clear()  # the threads open the sweep and compile its programs at a time
    found: dict[int, list[pa.Table]] = {}

    def work(number):
        found[number] = tables(manifest, order[number::4])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    all_tables = [table for number in range(4) for table in found[number]]
    together = pa.concat_tables(all_tables).replace_schema_metadata().sort_by("design")
    assert together.equals(expected)


DEVICES = """
import hashlib, io, json, sys
from design_space.numerics.startup import prepare_jax
prepare_jax()
import jax
import pyarrow as pa, pyarrow.parquet as pq
from design_space.sweeps.plan import plan
from design_space.sweeps.content import compute
manifest = plan(json.loads(sys.argv[1]), ".", piece=100)
tables = [pq.read_table(io.BytesIO(compute(manifest, n))) for n in range(len(manifest["pieces"]))]
table = pa.concat_tables(tables).replace_schema_metadata().sort_by("design")
text = "\\n".join(str(column.to_pylist()) for column in table.columns)
print(len(jax.local_devices()), hashlib.sha256(text.encode()).hexdigest())
"""


def test_several_devices_give_the_bits_of_one(tmp_path):
    """Both in new processes: this one may compile with other flags (tests/conftest.py)."""
    text, axes = CASES["gaussian"]
    command = [sys.executable, "-c", DEVICES, json.dumps(given(text, axes))]
    digests = set()
    for count in ("1", "4"):
        flags = f"--xla_force_host_platform_device_count={count}"
        environment = os.environ | {"XLA_FLAGS": flags, "DESIGN_SPACE_CACHE": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        devices, digest = done.stdout.split()
        assert devices == count
        digests.add(digest)
    assert len(digests) == 1


def test_a_program_takes_whole_batches_of_a_size_that_no_sweep_changes():
    designs = designs_of(given(*CASES["gaussian"]))
    group = designs.groups[0]
    traced = trace(designs, group, 0, 4096)
    assert traced is not None
    one, many = (compiled(traced, designs, group, most) for most in (1, 10_000))
    assert one.batch == many.batch
    assert one.size % one.batch == many.size % many.batch == 0
    assert many.size >= group.size
    assert one.temporaries > 0
    assert one.each == pytest.approx(many.each, rel=0.1)  # bytes of a design, but for a few fixed


def test_rows_are_padded_and_the_padding_is_cut_off():
    designs = designs_of(given(*CASES["gaussian"]))
    batches = Batches(designs, 0, 4096, 8)
    found = batches.together(0, np.array([5, 6, 7]))
    assert {len(column) for column in found.numbers.values()} == {3}
    again = batches.together(0, np.array([7]))
    for name, column in found.numbers.items():
        np.testing.assert_array_equal(again.numbers[name][0], column[2])


def test_there_is_no_program_where_laws_are_planned_from_numbers():
    for text in (MIXTURE, GAUSSIAN.replace('"edm"', '"marginal-optimal"')):
        designs = designs_of(given(text, "schedule.sigma_min = [0.1, 0.2]\n"))
        assert trace(designs, designs.groups[0], 0, 4096) is None


def test_a_group_without_a_design_has_none():
    axes = "schedule.sigma_min = [3, 4]\nschedule.sigma_max = [1, 2]\n"
    designs = designs_of(given(GAUSSIAN, axes))
    assert first_design(designs, designs.groups[0]) is None
    assert trace(designs, designs.groups[0], 0, 4096) is None
