"""Proposition 1 in the ledger."""

import jax.numpy as jnp
import numpy as np
import pytest

from analyses.judge import judge
from analyses.statements import residual_ends
from analyses.statements.residual_ends import PROPOSITION_1


@pytest.fixture(scope="module")
def judged():
    return judge(PROPOSITION_1, {})


@pytest.fixture(scope="module")
def outcomes(judged):
    return {outcome.claim.name: outcome for outcome in judged.outcomes}


def test_it_holds_and_every_broken_claim_fails(judged):
    assert judged.verdict == "holds"
    assert judged.as_recorded


def test_both_parts_come_close(outcomes):
    assert outcomes["printed"].designs >= 500
    assert 0.9 < outcomes["small"].tightness <= 1
    assert 0.9 < outcomes["growth"].tightness <= 1


def test_networks_are_trained_and_their_lipschitz_constants_hold():
    given = residual_ends.networks()
    count = residual_ends._NETWORKS
    moved = np.asarray(given.networks.hidden[0])
    assert np.all(np.abs(moved[2 * count : 3 * count] - moved[:count]).max(axis=(1, 2)) > 1e-3)
    random = np.random.default_rng(0)
    x, y = jnp.asarray(random.normal(size=(2, 3)))
    network = given.networks
    for i in (0, count + 3, 3 * count + 5):
        one = type(network)(network.first[i], tuple(w[i] for w in network.hidden), network.last[i])
        off = np.linalg.norm(np.asarray(one(x, 0.4)) - np.asarray(one(y, 0.9)))
        assert off <= given.lipschitz[i] * np.sqrt(float(jnp.sum((x - y) ** 2)) + 0.25)


def test_the_datum_score_has_no_residual(outcomes):
    found = outcomes["grows like 1/σ"]
    assert np.max(found.seen.right) < 1e-9


def test_other_scores_are_what_they_are_called():
    x, noisy, sigma = np.array([0.3, -1.0]), np.array([1.0, 2.0]), 0.5
    standard = residual_ends._standard_score(None, x, noisy, sigma)
    np.testing.assert_allclose(standard, -noisy / 1.25)
    np.testing.assert_allclose(
        residual_ends._datum_score(None, x, noisy, sigma), (x - noisy) / 0.25
    )
