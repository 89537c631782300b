"""Kills at any moment, full disks, folders that cannot be written: no half piece ever."""

import contextlib
import errno
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import typer
from sweep_tables import manifest_of, silent, stored, table

from design_space.cli import refuses_bad_input
from design_space.sweeps.pieces import encode, name_of
from design_space.sweeps.store import Store, StoreError

CUTS = [table(400, start=400 * number) for number in range(4)]
MANIFEST = manifest_of([400] * 4)
CONTENTS = [encode(cut, {"piece": number}) for number, cut in enumerate(CUTS)]
TEMPORARY = ".*.tmp"


def resumed(folder, manifest=MANIFEST):
    return Store(folder, manifest, silent, resume=True)


WRITE = """
import itertools, os, sys
from pathlib import Path
from design_space import files

stage, folder, content = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]).read_bytes()

def die(*arguments, **options):
    os.kill(os.getpid(), 9)

def write_half(handle, mode):
    os.write(handle, content[: len(content) // 2])
    die()

def replace_and_die(old, new, replace=os.replace):
    replace(old, new)
    die()

if stage == "half written":
    os.fdopen = write_half
elif stage == "just moved":
    os.replace = replace_and_die
elif stage != "at random":
    setattr(os, stage, die)
print("begun", flush=True)
for number in itertools.count():
    name = f"{number:06d}-{files.digest_of(content)[:16]}.parquet"
    files.write_atomically(folder / "pieces" / name, content)
"""


def writer(stage, folder, content):
    """A process that writes the same content as one piece after the other until it is killed."""
    command = [sys.executable, "-c", WRITE, stage, str(folder), str(content)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("stage", "left", "pieces"),
    [
        ("half written", 1, 0),
        ("fsync", 1, 0),
        ("chmod", 1, 0),
        ("replace", 1, 0),
        ("just moved", 0, 1),
    ],
)
def test_a_kill_at_any_stage_leaves_a_whole_piece_or_none(tmp_path, stage, left, pieces):
    content = tmp_path / "content"
    content.write_bytes(CONTENTS[0])
    folder = tmp_path / "sweep"
    with resumed(folder):
        pass
    with writer(stage, folder, content) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert len(list((folder / "pieces").glob(TEMPORARY))) == left
    with resumed(folder) as store:
        assert sorted(store.done()) == list(range(pieces))
        assert not list(folder.rglob(TEMPORARY))


def kill_at_random(folder, content, manifest, chance, times):
    """Kills a writer at random moments; after each, whatever counts as a piece must be whole."""
    most = 0
    for _ in range(times):
        with writer("at random", folder, content) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.02))
            process.kill()
        with resumed(folder, manifest) as store:  # told of nothing: no piece was damaged
            done = store.done()
            assert not list(folder.rglob(TEMPORARY))
        assert sorted(done) == list(range(len(done)))
        assert all(path.read_bytes() == content.read_bytes() for path in done.values())
        most = max(most, len(done))
    assert most > 0  # the processes did write


@pytest.mark.parametrize("times", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_at_random_moments_leave_no_half_piece(tmp_path, times):
    rows = 20_000
    manifest = manifest_of([rows] * 10_000)
    content = tmp_path / "content"
    content.write_bytes(encode(table(rows, measured=8), {}))
    with resumed(tmp_path / "sweep", manifest):
        pass
    kill_at_random(tmp_path / "sweep", content, manifest, random.Random(0), times)


def failing(error):
    """A call that fails with this error number."""

    def fail(*arguments, **options):
        raise OSError(error, os.strerror(error))

    return fail


STAGES = [(tempfile, "mkstemp"), (os, "fsync"), (os, "chmod"), (os, "replace")]


@pytest.mark.parametrize("stage", STAGES, ids=[name for _, name in STAGES])
@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (errno.ENOSPC, "make room on that disk"),
        (errno.EDQUOT, "make room in your quota, or have it raised"),
        (errno.EROFS, "make the folder writable"),
        (errno.EACCES, "make the folder writable"),
        (errno.EIO, "check that disk"),
    ],
)
def test_a_write_that_fails_at_any_stage_says_what_to_do(
    tmp_path, monkeypatch, stage, error, remedy
):
    folder = stored(tmp_path / "sweep", CUTS[:2], manifest=MANIFEST)
    with resumed(folder) as store:
        assert store.missing() == [2, 3]
        path = folder / "pieces" / name_of(2, CONTENTS[2])
        with monkeypatch.context() as patch:
            patch.setattr(*stage, failing(error))
            with pytest.raises(StoreError) as raised:
                store.put(2, CONTENTS[2])
        message = str(raised.value)
        assert message.startswith(f"{path} cannot be written: {os.strerror(error)} (")
        assert f"({len(CONTENTS[2]):,} bytes needed, " in message
        assert message.endswith(
            f"{remedy}, then run the same command with --resume: 2 pieces are kept"
        )
        assert store.missing() == [2, 3]
        assert not path.exists()
        assert not list(folder.rglob(TEMPORARY))
        store.put(2, CONTENTS[2])  # after the fault is gone
        assert store.missing() == [3]


def test_the_command_line_prints_the_message_whole(tmp_path, monkeypatch, capsys):
    def command():
        with Store(tmp_path, MANIFEST, silent) as store:
            monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
            store.put(0, CONTENTS[0])

    with pytest.raises(typer.Exit) as exit_:
        refuses_bad_input(command)()
    assert exit_.value.exit_code == 2
    text = capsys.readouterr().err
    assert text.startswith(f"design-space: {tmp_path}/pieces/000000-")
    assert text.endswith("with --resume: 0 pieces are kept\n")


def test_a_limit_on_the_size_of_files_leaves_no_part_of_one(tmp_path):
    """The system itself breaks the write off in the middle."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store(tmp_path, MANIFEST, silent) as store:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENTS[0]) // 2, before[1]))
            with pytest.raises(StoreError, match=r"raise the limit .*: 0 pieces are kept"):
                store.put(0, CONTENTS[0])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not list((tmp_path / "pieces").iterdir())
        store.put(0, CONTENTS[0])
        assert sorted(store.done()) == [0]


@pytest.mark.parametrize("stage", STAGES, ids=[name for _, name in STAGES])
def test_a_store_that_cannot_be_opened_is_free_again(tmp_path, monkeypatch, stage):
    folder = stored(tmp_path / "sweep", CUTS)
    with monkeypatch.context() as patch:
        patch.setattr(*stage, failing(errno.ENOSPC))
        with pytest.raises(ValueError, match=r"must be a folder that can be written \(No space"):
            resumed(folder).__enter__()
    with resumed(folder) as store:
        assert store.missing() == []


def namespace_for(place):
    """The command that lets a process mount what only it sees, where there is one."""
    for unshare in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        with contextlib.suppress(FileNotFoundError):
            probe = [*unshare, "mount", "-t", "tmpfs", "tmpfs", str(place)]
            if subprocess.run(probe, capture_output=True).returncode == 0:
                return unshare
    return pytest.skip("no file system may be mounted here")


@pytest.mark.parametrize("case", ["full", "read-only"])
def test_a_disk_that_is_full_or_read_only(tmp_path, case):
    """The disk is a real one: see small_disk.py."""
    script = Path(__file__).with_name("small_disk.py")
    command = [*namespace_for(tmp_path), sys.executable, str(script), case, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "as it should be", done.stderr


@contextlib.contextmanager
def without_privilege():
    """Permissions do not bind the superuser: the block runs as a user who owns nothing."""
    before = os.geteuid()
    try:
        if before == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(before)


def test_a_folder_without_permission_is_refused():
    with tempfile.TemporaryDirectory() as place:  # pytest's folders are closed to other users
        os.chmod(place, 0o755)
        folder = stored(Path(place) / "sweep", CUTS)
        folder.chmod(0o555)
        with (
            without_privilege(),
            pytest.raises(ValueError, match=r"that can be written \(Permission denied\); choose"),
        ):
            resumed(folder).__enter__()
        folder.chmod(0o755)
        with resumed(folder) as store:
            assert store.missing() == []
