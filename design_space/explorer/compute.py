"""From a state to its numbers: at once, then better where the first answer is not final."""

from collections.abc import Callable, Iterator

from design_space.explorer.gaussian import gaussian_numbers
from design_space.explorer.line import line_coarse, line_refined
from design_space.explorer.numbers import Numbers
from design_space.explorer.state import State

_FIRST = (State(), State(data="bimodal"), State(score="trained"))


def warm_up() -> None:
    """Compiles what the first states of a page need, so that no slider waits for it.

    Another sampler is compiled when it is chosen, and kept on disk for the next start.
    """
    for state in _FIRST:
        coarse(state)


def coarse(state: State) -> Numbers:
    """The numbers of a state at once. For Gaussian data they are exact and final.

    Args:
      state: the state.

    Returns:
      The numbers; each value states its error and method.

    Raises:
      ValueError: if the design of the state does not exist.
    """
    if state.data == "gaussian":
        return gaussian_numbers(state)
    return line_coarse(state)


def refined(state: State, stop: Callable[[], bool] = lambda: False) -> Iterator[Numbers]:
    """Better and better numbers of a state whose first ones are not final.

    Args:
      state: the state.
      stop: asked between pieces of work; the iteration ends when it says True.

    Yields:
      Numbers, each better than the one before; the last has `final` = True unless `stop` ended the
      iteration. For Gaussian data there are none.
    """
    if state.data != "gaussian":
        yield from line_refined(state, stop)
