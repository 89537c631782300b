"""The comparator of outputs: what it lets pass, and what it does not."""

import pytest
from printed_output import differences


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("a 1.25\n", "a 1.25"),
        ("a 1.24\n", "a 1.25"),  # one unit in the last digit
        ("x = -3.1e-05, N=10", "x = -3.2e-05, N=10"),
        ("KL  0.0999", "KL 0.1"),  # three significant digits on either side of a power of ten
        ("9.99", "10"),
        ("one\n\n2\n", "one\n\n2\n\n"),
        ("[0.5 1. ]", "[0.5 1.]"),
        ("steps 5 error nan", "steps 5 error nan"),
    ],
)
def test_same(printed, shown):
    assert differences(printed, shown) == []


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("a 1.23", "a 1.25"),  # two units
        ("a 0.34791", "a 0.3"),  # the page shows fewer digits than are printed
        ("a 0.3", "a 0.34791"),
        ("N = 10", "N = 11"),  # whole numbers are equal
        ("a -1.25", "a 1.25"),
        ("1.0e-05", "1.0e-06"),
        ("EDM 1.25", "Song 1.25"),
        ("a 1.25", "a 1.25 1.25"),
        ("a", "a\nb"),
        ("", "1"),
        ("1", ""),
        ("nan", "0.5"),
        ("x1 2.0", "x2 2.0"),  # a digit in a name is text
    ],
)
def test_different(printed, shown):
    assert len(differences(printed, shown)) == 1
