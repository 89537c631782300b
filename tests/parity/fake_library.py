"""A library that is none, for tests of the command."""

from types import SimpleNamespace

import numpy as np

from design_space.commands.parity.libraries import Library
from design_space.commands.parity.record import Row, Sides

HERE = Library("numpy", lambda: SimpleNamespace(), "nothing to do")
"""Installed wherever the tests run."""

ABSENT = Library("no-such-library-at-all", lambda: SimpleNamespace(), "pip install it")
"""Not installed anywhere."""


def broken():
    raise ImportError("libthing.so: cannot open shared object file")


BROKEN = Library("numpy", broken, "install it again")
"""Installed, and not to be imported."""


def row(name, apart, tolerance=1e-12, note="a | b"):
    """A row whose sides are `apart`, relatively."""
    theirs = np.array([1.0, 2.0 * (1 + apart)])
    sides = Sides(theirs, np.array([1.0, 2.0]))
    return Row(name, "f(x)", "F", "noise levels", tolerance, note, lambda lib: sides)


def failing(lib):
    """Sides that call what a library no longer has."""
    return lib.no_such_function()
