"""Specification texts that several tests share, and how they are read and refused."""

import tomllib

import pytest

from design_space.specification import Specification

CONTRACT = """
[target]
kind = "mixture"
weights = [0.5, 0.5]
means = [[-1.0], [1.0]]
stds = [0.1, 0.1]
[schedule]
kind = "edm"
sigma_min = 0.002
sigma_max = 80.0
rho = 7.0
steps = 50
[score]
kind = "exact"
[sampler]
kind = "frozen"
"""
GAUSSIAN = '[target]\nkind = "gaussian"\n'
EDM = '[schedule]\nkind = "edm"\nsteps = 4\n'
PLAIN = GAUSSIAN + "dim = 2\nstd = 0.5\n"


def parse(text, folder="."):
    return Specification.parse(tomllib.loads(text), folder)


def check_refused(text, *fragments, folder="."):
    """Parses `text`, which must be refused with a message that holds every fragment."""
    with pytest.raises(ValueError) as caught:
        parse(text, folder)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message, message
    assert "\n" not in message
