"""Shrinks a counterexample: fewer dimensions, fewer steps, rounder numbers, as long as it fails."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import equinox as eqx
import jax
import numpy as np

from analyses.cases import Design, measured
from analyses.statement import Claim, OnDesigns

_BATCH = 48  # candidates of one shape measured at a time, so that each shape compiles once
_TRIES = 1500  # designs that one counterexample may cost
_AT_ONCE = 192  # of them in one round
_SUBSETS = 120  # of the points of a grid that are tried


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")


def _simpler_numbers(value: float, least: float) -> Iterator[float]:
    """Rounder numbers near a number, and 0, 1 and 2, if they are at least `least`."""
    for other in (0.0, 1.0, 2.0, *(_rounded(value, digits) + 0.0 for digits in (1, 2, 3))):
        if other >= least and other != value:
            yield other


def _digits(value: float) -> float:
    """How much there is to read in a number: its digits, and a little for its size."""
    if value == 0:
        return 0.0
    exponent = f"{value:e}".partition("e")[2]
    return len(f"{value:.17g}".strip("-0").replace(".", "")) + 0.1 * abs(int(exponent))


def complexity(design: Design) -> tuple[float, ...]:
    """What shrinking makes smaller: components, dimensions, steps, then digits to read."""
    numbers = [*design.means.ravel(), *design.variances.ravel(), *design.sigmas]
    numbers += [design.exponent, design.factor]
    ones = (design.exponent != 1) + 2 * (design.factor != 1)
    distinct = len(np.unique(np.hstack([design.means, design.variances]), axis=0))
    return (distinct, *design.shape[1:], sum(_digits(float(x)) for x in numbers) + ones)


def _merged(design: Design) -> Iterator[Design]:
    """Designs with one component made equal to another: the shape stays, the law has fewer."""
    for k, other in itertools.permutations(range(len(design.weights)), 2):
        means, variances = design.means.copy(), design.variances.copy()
        means[k], variances[k] = means[other], variances[other]
        yield design.moved(means=means, variances=variances)


def _fewer_dimensions(design: Design) -> Iterator[Design]:
    dim = design.shape[1]
    for half in (slice(0, 1), slice(0, dim // 2), slice(dim // 2, dim)) if dim > 1 else ():
        yield design.moved(means=design.means[:, half], variances=design.variances[:, half])


def _coarser(steps: int) -> Callable[[Design], Iterator[Design]]:
    """Designs with so many steps out of more, also with wider data."""

    def candidates(design: Design) -> Iterator[Design]:
        random, points = np.random.default_rng(0), len(design.sigmas)
        if points <= steps + 1:
            return
        picks = list(itertools.islice(itertools.combinations(range(points), steps + 1), 4000))
        for pick in random.permutation(np.asarray(picks))[:_SUBSETS]:
            for scale in (1.0, 4.0):
                wider = {"means": scale * design.means, "variances": scale**2 * design.variances}
                yield design.moved(sigmas=design.sigmas[pick], **wider)

    return candidates


def _one_step_fewer(design: Design) -> Iterator[Design]:
    for j in range(len(design.sigmas) if len(design.sigmas) > 2 else 0):
        yield design.moved(sigmas=np.delete(design.sigmas, j))


def _rounder(design: Design) -> Iterator[Design]:
    """Designs of the same shape with one rounder number."""
    for name, least in (("means", -np.inf), ("variances", 0.0), ("sigmas", 1e-12)):
        array = getattr(design, name)
        for place in np.ndindex(array.shape):
            for value in _simpler_numbers(float(array[place]), least):
                changed = array.copy()
                changed[place] = value
                if name != "sigmas" or np.all(np.diff(changed) < 0):
                    yield design.moved(**{name: changed})
    for value in (1.0, 0.5, 0.25, _rounded(design.exponent, 1)):
        yield design.moved(exponent=value)
    for value in (1.0, 0.0, 2.0, _rounded(design.factor, 1)):
        yield design.moved(factor=value)


def _whole_rounder(design: Design) -> Iterator[Design]:
    """The design with every number rounded, for laws that are dear to measure."""
    for digits in (1, 2, 3):
        places = np.vectorize(lambda x, digits=digits: _rounded(float(x), digits) + 0.0)
        sigmas = places(design.sigmas)
        if np.all(np.diff(sigmas) < 0):
            means, variances = places(design.means), places(design.variances)
            yield design.moved(means=means, variances=variances, sigmas=sigmas)


_CHANGES = (_fewer_dimensions, _coarser(1), _coarser(2), _one_step_fewer, _rounder)
_DEAR_CHANGES = (_merged, _whole_rounder)  # of one shape: another would compile for seconds


class _Judge:
    """Says by how much designs fail, relative to the larger side; compiles once for each shape."""

    def __init__(self, claim: Claim, check: OnDesigns):
        self._claim = claim
        self._function = eqx.filter_jit(jax.vmap(check.one))

    def __call__(self, designs: Sequence[Design]) -> np.ndarray:
        gaps = np.zeros(len(designs))
        for shape in {d.shape for d in designs}:
            index = [i for i, d in enumerate(designs) if d.shape == shape]
            for start in range(0, len(index), _BATCH):
                here = index[start : start + _BATCH]
                # Mixtures are measured one by one: there padding would cost, and save nothing.
                padded = [designs[i] for i in (np.resize(here, _BATCH) if shape[0] == 1 else here)]
                gaps[here] = self._gaps(padded)[: len(here)]
        return gaps

    def _gaps(self, designs: Sequence[Design]) -> np.ndarray:
        (left, right, error), counts = self._function(measured(designs))
        left, right = np.asarray(left), self._claim.constant * np.asarray(right)
        size = np.maximum(np.maximum(np.abs(left), np.abs(right)), 1e-300)
        off = left - right if self._claim.relation == "<=" else np.abs(left - right)
        return np.where(counts, (off - np.asarray(error)) / size, -np.inf)


def shrunk(claim: Claim, failing: Sequence[Design]) -> Design | None:
    """Finds a small counterexample.

    Greedy: from the failing design of the smallest shape, the simplest of all designs that are one
    change away and still fail clearly, until none does.

    Args:
      claim: what they are counterexamples to; it is checked on designs.
      failing: designs on which it fails.

    Returns:
      A design, or None if there is none to start from.
    """
    check = claim.check
    if not failing or not isinstance(check, OnDesigns):
        return None
    best = min(failing, key=complexity)
    judge = _Judge(claim, check)
    clear = min(0.02, 0.5 * float(judge([best])[0]))
    if not clear > 0:
        return best
    tries = 0
    for candidates in _CHANGES if best.shape[0] == 1 else _DEAR_CHANGES:
        while tries < _TRIES:
            size = complexity(best)
            smaller = (d for d in candidates(best) if complexity(d) < size)
            tried = list(itertools.islice(smaller, _AT_ONCE))
            tries += len(tried)
            good = [d for d, gap in zip(tried, judge(tried), strict=True) if gap > clear]
            if not good:
                break
            best = min(good, key=complexity)
    return best
