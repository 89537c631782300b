"""Section 4.2's advice, cell by cell, and what two modes cost beyond their moments."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from analyses import seeded_chains
from analyses.judge import judge_claim, observed
from analyses.seeded_chains import KEPT, TARGETS, chains, laws, two_modes
from analyses.statements import section_4_2
from analyses.statements.section_4_2 import SAMPLING_DOMINANT, SCORE_DOMINANT
from design_space.errors.budget import error_budget
from design_space.schedules.named import edm, song
from design_space.scores.linear import per_level_affine
from design_space.scores.preconditioned import noise_coordinate, preconditioned
from design_space.training.objective import DenoisingData
from design_space.training.solvable import solvable
from design_space.weightings.named import edm_weighting

GRID = edm(4)


@pytest.mark.slow
def test_two_modes_against_the_mixtures_own_budget():
    """A score trained on few points: KL, E_S and W2 of the mixture itself, by quadrature."""
    random = np.random.default_rng(5)
    points = np.sign(random.random((9, 1)) - 0.5) + 0.1 * random.standard_normal((9, 1))
    noise = random.standard_normal((9, 4, 1))
    beta = edm_weighting().total(GRID)
    law = jax.tree.map(lambda leaf: leaf[TARGETS.index("two modes")], laws(GRID))
    given = (jnp.asarray(points), jnp.asarray(noise))
    learner = seeded_chains.MODELS["per level"]
    found = eqx.filter_jit(seeded_chains.trained)(learner, law, GRID, beta, *given)
    model = preconditioned(per_level_affine(1, noise_coordinate(GRID.forward_sigmas[1:])))
    solution = solvable(model, DenoisingData(*given, GRID.forward_sigmas[1:], beta))
    index = 2
    score = solution.at(KEPT[index], 0.5 * solution.stability_limit)
    truth = error_budget(two_modes(), GRID, score)
    for name, field in (("path", "path_kl"), ("marginal", "marginal_kl"), ("score", "score")):
        own = getattr(truth, field)
        room = float(own.error) + 1e-6
        np.testing.assert_allclose(getattr(found, name)[index], own.value, atol=room)
    np.testing.assert_allclose(found.w2[index], truth.w2.value, rtol=1e-3)
    rest = truth.initialization.value + truth.discretization.value
    np.testing.assert_allclose(found.sampling[index], rest, atol=1e-6)


def test_the_covariance_with_normal_quantiles():
    """E[Z Q(Phi(Z))] is the standard deviation for a Gaussian, less for two modes."""
    z = stats.norm.ppf((np.arange(400_000) + 0.5) / 400_000)
    x = np.linspace(-3, 3, 20_001)
    below = 0.5 * (stats.norm.cdf((x - 1) / 0.1) + stats.norm.cdf((x + 1) / 0.1))
    quantiles = np.interp(stats.norm.cdf(z), below, x)
    np.testing.assert_allclose(seeded_chains._across(0.0), np.mean(z * quantiles), rtol=1e-3)


@pytest.fixture(scope="module", params=[SCORE_DOMINANT, SAMPLING_DOMINANT], ids=lambda s: s.id)
def judged(request):
    statement = request.param
    claims = statement.claims()
    outcomes = {}
    for claim, seen in zip(claims, observed(claims, {}), strict=True):
        fails = claim in statement.broken or claim is statement.printed
        outcomes[claim.name] = judge_claim(claim, not fails, seen)
    return statement, outcomes


@pytest.mark.slow  # compiles two trainings
def test_verdicts(judged):
    _, outcomes = judged
    for name, outcome in outcomes.items():
        assert outcome.as_expected, name
    assert outcomes["printed"].designs >= 500


@pytest.mark.slow  # compiles two trainings
def test_each_regime_has_cells_of_every_criterion(judged):
    statement, outcomes = judged
    for criterion in seeded_chains.CRITERIA:
        assert outcomes[f"{criterion} anywhere"].observations >= 30, (statement.id, criterion)
    assert min(seeds for _, _, seeds in section_4_2.SETTINGS) >= 20


@pytest.mark.slow  # compiles two trainings
def test_who_wins_is_decided_in_pairs():
    """The same data on both grids: intervals of the difference are far below those of each."""
    found = chains("per level", 50, 24)
    logs = np.log(found.path[:, TARGETS.index("N(0, 5²)"), :, 3])
    assert np.std(logs[0] - logs[1]) < 0.5 * np.std(logs[0]) + 0.5 * np.std(logs[1])


@pytest.mark.slow  # compiles two trainings
def test_regimes():
    dominant = [c for c in section_4_2.cells() if section_4_2.score_dominates(c)]
    assert {c.target for c in dominant} >= {"N(0, 0.002²)", "N(0, 5²)", "two modes"}
    assert not any(map(section_4_2.sampling_dominates, dominant))


def test_grids():
    first, second = seeded_chains.designs(5)
    np.testing.assert_array_equal(first.forward_sigmas, edm(5).forward_sigmas)
    np.testing.assert_array_equal(second.forward_sigmas, song(5).forward_sigmas)


def test_a_claim_on_no_cell_is_refused(monkeypatch):
    monkeypatch.setattr(section_4_2, "cells", lambda: ())
    with pytest.raises(ValueError, match=r"^SETTINGS = .*: must be such that some count"):
        SCORE_DOMINANT.printed.check.observe({})


@pytest.mark.slow
def test_other_seeds_do_not_change_the_advice(monkeypatch):
    monkeypatch.setattr(section_4_2, "cells", lambda: section_4_2._cells(1))
    for statement in (SCORE_DOMINANT, SAMPLING_DOMINANT):
        for claim in (statement.corrected, *statement.supporting):
            seen = claim.check.observe({})
            assert judge_claim(claim, True, seen).holds, claim.name
