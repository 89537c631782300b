"""Tasks for processes of their own; run as a script, it does some that never end."""

import os
import signal
import sys
import time
from pathlib import Path

from design_space import checks
from design_space.commands.screen import Screen
from design_space.commands.side_by_side import side_by_side


def task(name, screen, said=None):
    """Does what its name says; the file `said` is there once "forever" has said its pid."""
    if name == "fails":
        while not Path(said).exists():
            time.sleep(0.02)
        raise ValueError("this one fails")
    if name == "forever":
        screen.say(f"pid {os.getpid()}")
        if said is not None:
            Path(said).touch()
        time.sleep(600)
    if name == "refuses":
        checks.count("steps", 0)
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "warns":
        screen.warn("of a task")
    with screen.progress(name) as advance:
        advance(1, 2)
    screen.say(f"{name} is done")


if __name__ == "__main__":
    side_by_side(task, sys.argv[1:], 2, Screen())
