"""The wheel holds everything that the main job needs."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest
from markdown_pages import ROOT

pytestmark = pytest.mark.slow


def run(*command, **options):
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    place = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place, ROOT)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """An environment that holds the wheel itself, and borrows every other package."""
    place = tmp_path_factory.mktemp("elsewhere")
    venv.create(place / "venv", with_pip=False)
    python = place / "venv" / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "--python", python, *install, wheel)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    with open(os.path.join(site, "borrowed.pth"), "w", encoding="utf-8") as file:
        file.write("\n".join(sorted(borrowed)) + "\n")
    return place


def test_wheel_holds_the_three_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"design_space", "analyses", "figures"}
    tracked = run("git", "-C", ROOT, "ls-files", *tops).splitlines()
    needed = [name for name in tracked if not name.startswith("figures/gallery/")]
    lessons = run("git", "-C", ROOT, "ls-files", "docs/tutorials").splitlines()
    needed += [name.replace("docs/", "design_space/", 1) for name in lessons]
    assert any("lesson_1" in name for name in needed)
    assert set(needed) <= set(names)
    assert not [name for name in names if name.endswith((".pyc", ".parquet"))]


def test_lessons_are_found_in_the_wheel(elsewhere):
    pages = {page.name for page in (ROOT / "docs" / "tutorials").glob("lesson_*.md")}
    command = elsewhere / "venv" / "bin" / "design-space"
    assert len(run(command, "lesson", cwd=elsewhere).split("\n\n")[0].splitlines()) == len(pages)
    run(command, "lesson", "1", "--script", "lesson.py", cwd=elsewhere)
    assert "assert" in (elsewhere / "lesson.py").read_text(encoding="utf-8")


def test_reproduce_runs_from_the_wheel(elsewhere):
    binaries = elsewhere / "venv" / "bin"
    code = "import design_space; print(design_space.__file__)"
    where = run(binaries / "python", "-c", code, cwd=elsewhere)
    assert where.startswith(str(elsewhere))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [binaries / "design-space", "reproduce", "bell_weighting", "--out", "results"]
    run(*command, cwd=elsewhere, env=environment)
    assert (elsewhere / "results" / "report.html").stat().st_size > 1000
    assert list((elsewhere / "results" / "bell_weighting").glob("*.parquet"))
