"""Whether an error is a refused input, or a defect."""

OURS = ("design_space", "analyses", "figures")
"""The packages of this distribution."""


def raised_by_us(error: BaseException) -> bool:
    """Says whether `error` was raised in this distribution, and not in a library below it.

    Args:
      error: as it was caught, in the process that raised it: what another process hands over has
        lost the places that it passed.
    """
    trace = error.__traceback__
    name = ""
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        trace = trace.tb_next
    return name.partition(".")[0] in OURS
