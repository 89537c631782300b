"""A sign flipped or a constant halved in any bound or law is noticed by some statement.

The slow tests take a few mutants of every function; with ALL_MUTANTS=1 in the environment they take
all of them, in about half an hour.
"""

import functools
import importlib
import inspect
import itertools
import os
import pkgutil
import sys
import time

import numpy as np
import pytest
from few_trainings import few_trainings
from mutants import forget, in_place, mutants, plain

import design_space.bounds
from analyses.cases import measured
from analyses.catalogue import STATEMENTS
from analyses.families import Batch, named_designs, random_gaussians, two_modes
from analyses.judge import deviations, failing, observed, ratios
from analyses.statements import section_4_2
from design_space.errors import gaussian as gaussian_errors
from design_space.errors import one_step
from design_space.optimal import tangent
from design_space.sampling import gaussian_law
from design_space.scores import predictions

LAWS = (
    gaussian_law.exact_score_law,
    gaussian_law.advance,
    gaussian_law.probability_flow_law,
    gaussian_errors.initialization_terms,
    gaussian_errors.discretization_terms,
    one_step.one_step_kl,
    one_step.reverse_mismatch,
    tangent.tangent_sigmas,
)
"""Functions that measure: mutated, the designs are measured anew."""

MOVES = 1e-5  # relative change of a number that the record notices

OWN_LAWS = {
    "equation-10": gaussian_law.exact_score_law,
    "order-path-and-marginal": gaussian_errors.discretization_total,
    "path-identity": one_step.one_step_kl,
    "section-4.2-score-dominant": gaussian_law.advance,
    "perceptual-rotation": predictions.predictions,
}
"""What is mutated for statements that call no bound, or where what can be mutated of the bound is
small beside the score's error: their two sides are measured.
"""

CHEAP = (
    "theorem-2",
    "lemma-9",
    "lemma-10",
    "lemma-13",
    "lemma-14",
    "lemma-15",
    "path-optimal-geometric",
    "step-variance",
    "tangent-law",
)
"""Statements that take a second or two: checked among the quick tests."""

EQUIVALENT = {
    # `absolute` feeds the condition number only, which tests/errors checks
    "exact_score_law, sign in line 32: generated - initial",
    # an exponent that Song's complexity does not use
    "table_2_song, constant in line 10: 0.5",
    # guards and a tolerance that the values never reach
    "least_surrogate, constant in line 30: 1.0",
    "song_times, constant in line 6: 0.5",
    "h3_crossover, constant in line 19: 5e-15",
}
"""Mutants that change nothing a statement says, with the reason."""

OTHERS = {name for name in STATEMENTS if name.startswith(("perceptual-", "guidance-"))} - set(
    OWN_LAWS
)
"""Statements that no bound of design_space stands behind: they hold laws of networks or of guided
samplers against each other, whose parts have tests of their own."""

TRAINING = {
    "theorem-1",
    "lemma-1",
    "lemma-2",
    "lemma-3",
    "lemma-4",
    "lemma-5",
    "lemma-6",
    "lemma-7",
    "lemma-8",
    "proposition-1",
    "proposition-2",
    "remark-1",
    "corollary-2",
}
"""Statements on training, which measure networks anew for every mutant."""

TRAINING_BOUNDS = (
    "concentration",
    "convergence",
    "orthant",
    "perturbation",
    "residual",
    "semi_smoothness",
)
"""The modules of their bounds."""

pytestmark = pytest.mark.xdist_group("mutations")
"""One worker, with --dist=loadgroup: baselines take minutes, and hold for all mutants."""

LONG = pytest.mark.skipif(
    "ALL_MUTANTS" not in os.environ, reason="half an hour: with ALL_MUTANTS=1 in the environment"
)

FEW = None if os.environ.get("ALL_MUTANTS") else 1
"""How many mutants of each function are tried."""


@pytest.fixture(scope="module", autouse=True)
def _few_trainings():
    """Statements on training are judged on few small networks and chains here."""
    with few_trainings(), pytest.MonkeyPatch.context() as patch:
        # at half as many steps no cell is left to the path KL of SCORE_DOMINANT
        patch.setattr(section_4_2, "SETTINGS", (("per level", 50, 8),))
        section_4_2._cells.cache_clear()
        yield
    section_4_2._cells.cache_clear()


def bounds():
    """Every function of design_space/bounds, in the order of the files."""
    for info in pkgutil.iter_modules(design_space.bounds.__path__):
        module = importlib.import_module(f"design_space.bounds.{info.name}")
        for _, function in inspect.getmembers(module, inspect.isfunction):
            if plain(function).__module__ == module.__name__:
                yield plain(function)


def small_families():
    """A few designs of three shapes, measured when first asked for."""

    def batch(designs):
        return functools.cache(lambda: (Batch(designs, measured(designs)),))

    return {
        "named": batch(named_designs(40)),
        "gaussian": batch(random_gaussians(2, 5, 32)),
        "mixture": batch(two_modes(2, 2)),
    }


SMALL = small_families()


def fingerprint(statement, families):
    """Numbers of every claim that move with its sides: failures, ratios, deviations."""
    numbers = []
    for claim, seen in zip(statement.claims(), observed(statement.claims(), families), strict=True):
        fails = failing(claim, seen.left, seen.right, seen.error)
        ratio = ratios(claim, seen)
        if seen.confidence is not None or (claim.relation == "=" and not fails.any()):
            numbers += [fails.sum(), 0.0, 0.0, 0.0]
            continue
        finite = ratio[np.isfinite(ratio)]
        off = deviations(claim, seen)
        middle = np.median(finite) if len(finite) else 0.0
        numbers += [fails.sum(), middle, finite.min(initial=np.inf), np.median(off)]
    return np.nan_to_num(np.asarray(numbers, dtype=float), posinf=1e300, neginf=-1e300)


@functools.cache
def baseline(name):
    """The fingerprint of a statement as the code stands, the bounds that it calls, its seconds."""
    found = profiled(name)
    if not found[1] and name not in OWN_LAWS:
        forget(everything=False)  # another statement has kept what the two share
        found = profiled(name)
    return found


def profiled(name):
    """What `baseline` keeps."""
    called = set()

    def note(frame, event, argument):
        if event == "call":
            called.add(frame.f_code)

    for family in SMALL.values():
        family()
    before, start = sys.getprofile(), time.process_time()
    sys.setprofile(note)
    try:
        numbers = fingerprint(STATEMENTS[name], SMALL)
    finally:
        sys.setprofile(before)
    seconds = time.process_time() - start
    return numbers, {function for function in bounds() if function.__code__ in called}, seconds


def notices(name, families):
    """Whether a statement comes out differently from its baseline; an exception is noticed too."""
    try:
        now = fingerprint(STATEMENTS[name], families)
    except (ArithmeticError, TypeError, ValueError, Warning):
        return True
    known = baseline(name)[0]
    size = np.maximum(np.maximum(np.abs(known), np.abs(now)), 1e-12)
    return bool(np.any(np.abs(known - now) > MOVES * size))


def on_training(function):
    return function.__module__.rpartition(".")[2] in TRAINING_BOUNDS


def statements_of(function):
    """Those that call a bound, the cheapest first: a mutant is done with once one notices it."""
    bounded = [name for name in STATEMENTS if name not in OTHERS]
    near = [name for name in bounded if (name in TRAINING) == on_training(function)]
    return sorted(
        (name for name in near if function in baseline(name)[1]), key=lambda n: baseline(n)[2]
    )


NOTICED = set()
"""Mutants of bounds that some statement has noticed in this process: they are not tried again."""


def survivors(function, chosen, names, fresh_families=False):
    """Mutants that none of the statements notices."""
    for name in names:
        baseline(name)  # as the code stands, whatever ran before
    left = []
    for what, code in chosen:
        if not fresh_families and (function, what) in NOTICED:
            continue
        with in_place(function, code, fresh_families):
            families = small_families() if fresh_families else SMALL
            if not any(notices(name, families) for name in names):
                left.append(what)
    return [what for what in left if what not in EQUIVALENT]


def few(function):
    """A few mutants of a function, spread over it; the first is always among them."""
    found = list(mutants(function))
    apart = 1 if FEW is None else max(1, len(found) // FEW)
    return found[::apart][:FEW]


def name_of(function):
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def marks_of(name):
    if name in TRAINING:
        return (pytest.mark.slow, LONG)
    return () if name in CHEAP else (pytest.mark.slow,)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=marks_of(name)) for name in STATEMENTS if name not in OTHERS],
)
def test_every_statement_notices_a_mutant_of_its_own(name):
    own = OWN_LAWS.get(name)
    functions = [own] if own else sorted(baseline(name)[1], key=name_of)
    assert functions
    for function in functions:
        for what, code in itertools.islice(mutants(function), 4):
            with in_place(function, code, everything=own is not None):
                if notices(name, SMALL):
                    NOTICED.add((function, what))
                    return
    pytest.fail(f"{name} notices no mutant of {[name_of(f) for f in functions]}")


def formulas():
    """The bounds that have something to mutate."""
    return [function for function in bounds() if any(True for _ in mutants(function))]


def bound_parameters():
    """Every bound; without ALL_MUTANTS every second one, since each statement notices a mutant of
    its own anyway, and none of those that take minutes.
    """
    for number, function in enumerate(formulas()):
        dear = on_training(function) or name_of(function).startswith("complexity.")
        left = dear or number % 2 == 1
        yield pytest.param(function, marks=(LONG,) if left else (), id=name_of(function))


@pytest.mark.slow
@pytest.mark.parametrize("function", list(bound_parameters()))
def test_mutants_of_a_bound_are_noticed(function):
    names = statements_of(function)
    assert names, "no statement checks this bound"
    assert not survivors(function, few(function), names)


@pytest.mark.slow
@pytest.mark.parametrize("function", LAWS, ids=name_of)
def test_mutants_of_a_law_are_noticed(function):
    names = ("lemma-13", "lemma-15", "path-identity", "tangent-law", "lemma-9", "theorem-2")
    assert not survivors(function, few(function), names, fresh_families=True)
