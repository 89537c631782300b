"""The record covers the catalogue, its counterexamples are designs, and differences are seen."""

import json
import math
import tomllib

import numpy as np
import pytest
from claims import FALSE, TRUE, batch_of, claim, gaussian, statement

from analyses.cases import Design, toml
from analyses.catalogue import STATEMENTS, select
from analyses.judge import judge, sides_of
from analyses.recorded import PATH, TOLERANCE, counterexample, differences, plain, recorded
from analyses.statement import Claim, OnDesigns, Sides, fell
from analyses.statements import perceptual_claims
from design_space.specification import Specification

RECORD = recorded()
COUNTEREXAMPLES = [
    (name, claim_name, facts["counterexample"])
    for name, entry in RECORD.items()
    for claim_name, facts in entry["claims"].items()
    if "counterexample" in facts
]
TRAINED = {statement.id for statement in perceptual_claims.STATEMENTS}
IDS = [f"{name}, {claim_name}" for name, claim_name, _ in COUNTEREXAMPLES]


def design_of(sections):
    """A design from the sections of its specification."""
    target, schedule = sections["target"], sections["schedule"]
    rest = {
        "exponent": schedule.get("exponent", 1.0),
        "factor": sections.get("score", {"factor": 1.0})["factor"],
    }
    sigmas = np.asarray(schedule["sigmas"])
    if target["kind"] == "gaussian":
        return Design.gaussian(target["mean"], target["variances"], sigmas, **rest)
    spread = np.asarray([np.diag(c) for c in target["covariances"]])
    laws = (np.asarray(target["weights"]), np.asarray(target["means"]), spread)
    return Design(*laws, sigmas, **rest)


def test_the_record_covers_the_catalogue():
    assert PATH.is_file()
    assert list(RECORD) == list(STATEMENTS)
    for name, entry in RECORD.items():
        assert entry["verdict"] == STATEMENTS[name].expected
        assert list(entry["claims"]) == [c.name for c in STATEMENTS[name].claims()]


def enough(name, claims):
    """Of settings that were fixed beforehand there are few: networks have 20 seeds in each of three
    or more, and laws, points and losses are seen often.
    """
    if name in TRAINED:
        return max(facts["designs"] for facts in claims.values()) >= 2 * 3 * 20
    few = name.startswith(("perceptual-", "guidance-"))
    return few and sum(facts["observations"] for facts in claims.values()) >= 25


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_is_checked_enough_and_as_expected(name):
    statement, entry = STATEMENTS[name], RECORD[name]
    claims = entry["claims"]
    assert max(facts["designs"] for facts in claims.values()) >= 500 or enough(name, claims)
    broken = {c.name for c in statement.broken}
    for claim_name, facts in claims.items():
        should_hold = claim_name not in broken
        if claim_name == statement.printed.name:
            should_hold = not fell(statement.expected)
        assert facts["holds"] == should_hold, claim_name
        assert facts["holds"] == (facts["violations"] == 0)
        assert facts["observations"] >= 1


@pytest.mark.parametrize(("name", "claim_name", "found"), COUNTEREXAMPLES, ids=IDS)
def test_counterexamples_are_specifications(name, claim_name, found):
    text = toml(found["design"])
    assert tomllib.loads(text) == found["design"]
    read = Specification.parse(tomllib.loads(text))
    np.testing.assert_allclose(
        read.schedule().backward_sigmas, found["design"]["schedule"]["sigmas"]
    )
    design = design_of(found["design"])
    assert design.specification() == found["design"]


SLOW = {name for name in STATEMENTS if name not in ("lemma-10", "lemma-13", "theorem-2")}


@pytest.mark.parametrize(
    ("name", "claim_name", "found"),
    [
        pytest.param(*row, id=label, marks=[pytest.mark.slow] if row[0] in SLOW else [])
        for row, label in zip(COUNTEREXAMPLES, IDS, strict=True)
    ],
)
def test_counterexamples_have_the_sides_that_are_recorded(name, claim_name, found):
    of_the_ledger = next(c for c in STATEMENTS[name].claims() if c.name == claim_name)
    left, right, error = sides_of(of_the_ledger, design_of(found["design"]))
    assert left == pytest.approx(found["left"], rel=1e-9, abs=1e-300)
    assert right == pytest.approx(found["right"], rel=1e-9, abs=1e-300)
    if of_the_ledger.relation == "<=":
        assert left - right > error
    else:
        assert abs(left - right) > error


def made_up(printed=None, expected="holds", **rest):
    printed = claim([1.0, 2.0], [2.0, 3.0]) if printed is None else printed
    return judge(statement(printed, expected, **rest), {})


def test_nothing_differs_from_its_own_record():
    for judgement in (
        made_up(),
        made_up(claim(*FALSE), "fails"),
        made_up(claim([1.0], [1.0], relation="=")),
    ):
        assert differences(judgement, {"made-up": plain(judgement)}) == []


def test_the_record_is_plain_json():
    entry = plain(made_up(claim([1.0, math.inf], [2.0, math.nan]), "fails"))
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    facts = entry["claims"]["printed"]
    assert facts["worst"] == {"what": "observation 1", "left": None, "right": None}
    assert facts["violations"] == 1
    assert facts["tightness"] == 0.5


def test_a_moved_verdict():
    judgement = made_up(claim(*FALSE))
    found = differences(judgement, {"made-up": plain(judgement)})
    assert found == ["verdict 'fails', recorded 'holds'"]


def test_a_moved_number():
    record = {"made-up": plain(made_up())}
    within = made_up(claim([1.0, 2.0], [2.0, 3 * (1 + 0.5 * TOLERANCE)]))
    assert differences(within, record) == []
    moved = differences(made_up(claim([1.0, 2.0], [2.0, 3.1])), record)
    # of 2 and 3/2 the smaller is the margin, its inverse the tightness, their mean the median
    assert moved == [
        "margin of 'printed' 1.55, recorded 1.5",
        f"tightness of 'printed' {1 / 1.55!r}, recorded {1 / 1.5!r}",
        "typical of 'printed' 1.775, recorded 1.75",
    ]


def test_a_number_that_vanishes_or_appears_has_moved():
    record = {"made-up": plain(made_up(claim([0.0], [2.0])))}
    assert len(differences(made_up(claim([1.0], [2.0])), record)) == 3
    record = {"made-up": plain(made_up(claim([1.0], [2.0])))}
    assert len(differences(made_up(claim([0.0], [2.0])), record)) == 3


def test_rounding_of_an_equality_is_no_difference():
    record = {"made-up": plain(made_up(claim([1.0], [1.0], relation="=")))}
    assert differences(made_up(claim([1.0], [1 + 1e-12], relation="=")), record) == []
    broken = {"broken": (claim([1.0], [2.0], relation="=", name="broken"),)}
    record = {"made-up": plain(made_up(**broken))}
    broken = {"broken": (claim([1.0], [2.1], relation="=", name="broken"),)}
    assert differences(made_up(**broken), record) == [
        f"typical of 'broken' {1 / 2.1!r}, recorded 0.5"
    ]


def test_a_missing_claim_and_a_missing_statement():
    record = {"made-up": plain(made_up())}
    more = {"supporting": (claim(*TRUE, name="more"),)}
    assert differences(made_up(**more), record) == ["claim 'more' is not in the record"]
    assert differences(made_up(), {}) == ["claim 'printed' is not in the record"]


def test_a_claim_that_should_hold_or_fail():
    supporting = made_up(supporting=(claim(*FALSE, name="more"),))
    record = {"made-up": plain(supporting)}
    assert differences(supporting, record) == ["claim 'more' fails on 1 observations"]
    broken = made_up(broken=(claim(*TRUE, name="broken"),))
    assert differences(broken, {"made-up": plain(broken)}) == ["claim 'broken' holds"]


def on_designs(name, bound):
    return Claim(name, "", OnDesigns(lambda c: Sides(c.variances[0], bound), ("some",)))


def test_the_counterexample_shown_is_that_of_the_claim_that_surprises():
    some = {"some": lambda: (batch_of([gaussian([2.0, 1.0])]),)}
    first, more = on_designs("printed", 1.0), on_designs("more", 3.0)
    both = statement(first, "fails", supporting=(more,))
    outcome, design = counterexample(judge(both, some))
    assert outcome.claim is more
    assert design.sigmas[0] ** 2 > 3
    as_recorded = statement(first, "fails", broken=(more,))
    assert counterexample(judge(as_recorded, some))[0].claim is first
    assert counterexample(made_up()) is None


def test_text_of_a_specification():
    sections = {
        "target": {"kind": "gaussian", "mean": [0.0], "variances": [1e-300]},
        "schedule": {"kind": "custom", "sigmas": [2.5, 1 / 3], "exponent": 0.5},
    }
    assert tomllib.loads(toml(sections)) == sections


def test_patterns_choose_statements_in_the_order_of_the_ledger():
    names = [s.id for s in select(["lemma-*", "theorem-2"])]
    assert names == [n for n in STATEMENTS if n.startswith("lemma") or n == "theorem-2"]
    assert [s.id for s in select([])] == list(STATEMENTS)
    with pytest.raises(ValueError, match=r"statement = 'lemma-99': must be an id or a pattern"):
        select(["lemma-9", "lemma-99"])
    order = list(STATEMENTS)
    assert order.index("lemma-9") < order.index("lemma-10")
    assert order.index("equation-3") == 0
