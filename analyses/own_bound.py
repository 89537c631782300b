"""A reader's own bound, judged by the rules of the ledger."""

from collections.abc import Callable
from typing import Any

from analyses.cases import Case
from analyses.families import families
from analyses.judge import Judgement, judge
from analyses.statement import Assumption, Claim, OnDesigns, Sides, Statement
from design_space.checks import one_of

QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl")
"""What a bound can be for: the entries of the error budget that are divergences, in nats."""


def check_bound(
    quantity: str,
    bound: Callable[[Case], Any],
    *,
    constant: float = 1.0,
    on: tuple[str, ...] = ("named", "gaussian"),
    where: tuple[Assumption, ...] = (),
    share: float = 1.0,
) -> Judgement:
    """Checks a bound on an error of the sampler, on fixed and random designs.

    Args:
      quantity: what is bounded: "initialization", "discretization", "score", "path_kl" or
        "marginal_kl", in nats.
      bound: the right side for one case, a JAX function of `case.target`, `case.schedule`,
        `case.variances` (v_j in the sampler's order), `case.variance_steps` (h_j),
        `case.information` (I(v_j)), `case.mmse`, `case.mismatches` (E|s_j - L_j|^2).
      constant: of the right side.
      on: families of designs: "named" (EDM, Song and mixed schedules), "gaussian" (random, 1 to 50
        dimensions), "mixture" (random, one dimension).
      where: what is assumed of a design.
      share: of the random designs; less is faster.

    Returns:
      The judgement. Printed, it says verdict, margin, tightness and the smallest counterexample.

    Raises:
      ValueError: if the quantity or a family is unknown.
    """
    one_of("quantity", quantity, QUANTITIES)
    for name in on:
        one_of("on", name, families())

    def sides(case: Case) -> Sides:
        measured = getattr(case.errors, quantity)
        return Sides(measured.value, bound(case), measured.error)

    claim = Claim("own", f"{quantity} below the bound", OnDesigns(sides, on, where), "<=", constant)
    title = f"A bound on {quantity}"
    statement = Statement(
        "own-bound", title, "the reader", claim.says, "", claim, "holds", constant=constant != 1
    )
    return judge(statement, families(share))
