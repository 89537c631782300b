"""Every comparison, library by library, in the order of the table."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from design_space.checks import refusal
from design_space.commands.parity import (
    azula_rows,
    diffusers_flow,
    diffusers_grids,
    diffusers_preserving,
    k_diffusion_rows,
    smalldiffusion_rows,
)
from design_space.commands.parity.libraries import (
    AZULA,
    DIFFUSERS,
    K_DIFFUSION,
    SMALLDIFFUSION,
    Library,
)
from design_space.commands.parity.record import Row

REGISTRY: list[tuple[Library, tuple[Row, ...]]] = [
    (K_DIFFUSION, k_diffusion_rows.ROWS),
    (DIFFUSERS, (*diffusers_grids.ROWS, *diffusers_flow.ROWS, *diffusers_preserving.ROWS)),
    (AZULA, azula_rows.ROWS),
    (SMALLDIFFUSION, smalldiffusion_rows.ROWS),
]
"""The libraries with their rows."""


def chosen(patterns: Sequence[str]) -> list[tuple[Library, tuple[Row, ...]]]:
    """The part of the registry that is asked for.

    Args:
      patterns: names of rows, or patterns with * and ?; none means all.

    Raises:
      ValueError: if one fits no row.
    """
    names = [row.name for _, rows in REGISTRY for row in rows]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            domain = "a row, or a pattern that fits one, of " + ", ".join(names)
            raise refusal("only", pattern, domain, "choose one of these names")
    found = []
    for library, rows in REGISTRY:
        own = [r for r in rows if not patterns or any(fnmatchcase(r.name, p) for p in patterns)]
        if own:
            found.append((library, tuple(own)))
    return found
