"""Every statement of the ledger by id, and the judging of many of them."""

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from analyses.families import Families
from analyses.judge import Judgement, judge
from analyses.statement import Statement
from analyses.statements import (
    comparison,
    complexity,
    convergence,
    corollary_1,
    directions,
    equal_residuals,
    full_error,
    gaussian_data,
    gradient_bounds,
    gradient_near,
    guidance,
    guidance_effects,
    loss_floor,
    network_norms,
    objective,
    optimal,
    orders,
    perceptual_claims,
    perceptual_exact,
    perceptual_optimum,
    published_steps,
    residual_ends,
    reverse_process,
    sampler,
    sampler_orders,
    schedule_choice,
    section_4_2,
    semi_smoothness,
    table_1,
    theorem_2,
    weighting,
)
from design_space.checks import refusal

_ORDER = (
    "equation-*",
    "theorem-*",
    "lemma-*",
    "proposition-*",
    "remark-*",
    "corollary-*",
    "section-*",
    "table-*",
    "appendix-*",
    "*",
)
_MODULES = (
    objective,
    directions,
    network_norms,
    residual_ends,
    loss_floor,
    sampler,
    theorem_2,
    reverse_process,
    gaussian_data,
    orders,
    complexity,
    published_steps,
    schedule_choice,
    table_1,
    weighting,
    optimal,
    comparison,
    convergence,
    equal_residuals,
    gradient_bounds,
    gradient_near,
    semi_smoothness,
    full_error,
    corollary_1,
    section_4_2,
    sampler_orders,
    perceptual_exact,
    perceptual_optimum,
    guidance,
    guidance_effects,
    perceptual_claims,
)
WORKERS = 2
"""Statements judged at a time: one is compiled while another runs."""


def _catalogue() -> dict[str, Statement]:
    """Statements in the order of the paper, our own after them."""
    found = {s.id: s for module in _MODULES for s in module.STATEMENTS}

    def place(name: str) -> tuple[int, str, int]:
        head, _, tail = name.rpartition("-")
        kind = next(i for i, p in enumerate(_ORDER) if fnmatch.fnmatch(name, p))
        return (kind, head, int(tail)) if tail.isdigit() else (kind, name, 0)

    return {name: found[name] for name in sorted(found, key=place)}


STATEMENTS: dict[str, Statement] = _catalogue()
"""Every statement by id."""


def select(patterns: Iterable[str]) -> list[Statement]:
    """Statements by id or by pattern, in the order of the ledger; all if there is no pattern.

    Args:
      patterns: ids, or patterns with * and ? such as "lemma-*".

    Raises:
      ValueError: if a pattern matches nothing.
    """
    patterns = list(patterns)
    for pattern in patterns:
        if not fnmatch.filter(STATEMENTS, pattern):
            domain = "an id or a pattern of ids: " + ", ".join(STATEMENTS)
            raise refusal("statement", pattern, domain, "choose one of these")
    chosen = [n for n in STATEMENTS if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns)]
    return [STATEMENTS[name] for name in chosen]


_DEAR = "mixture"  # the family that takes longest to measure


def _asked(statement: Statement) -> set[str]:
    """The families that a statement looks at."""
    return {name for claim in statement.claims() for name in getattr(claim.check, "on", ())}


def judge_all(
    statements: Sequence[Statement],
    families: Families,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[Judgement]:
    """Judges statements, two at a time.

    Args:
      statements: what to judge.
      families: the designs.
      advance: told how many are done, and of how many.

    Returns:
      The judgements, in the order of the statements.
    """
    order = sorted(statements, key=lambda statement: bool(_asked(statement) & {_DEAR}))
    found: dict[str, Judgement] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        if any(_DEAR in _asked(statement) for statement in statements):
            pool.submit(families[_DEAR])  # first, while what does not need it goes on beside it
        futures = [pool.submit(judge, statement, families) for statement in order]
        for done, future in enumerate(as_completed(futures), start=1):
            found[future.result().statement.id] = future.result()
            advance(done, len(statements))
    return [found[statement.id] for statement in statements]
