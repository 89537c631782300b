"""Lemmas 4 and 6 in the ledger."""

import numpy as np
import pytest
from scipy import integrate, stats

from analyses.judge import judge
from analyses.statements import network_norms
from analyses.statements.network_norms import LEMMA_4, LEMMA_6, STATEMENTS


@pytest.fixture(scope="module")
def judged():
    return {s.id: judge(s, {}) for s in STATEMENTS}


@pytest.fixture(scope="module")
def outcomes(judged):
    return {(key, o.claim.name): o for key, j in judged.items() for o in j.outcomes}


def test_verdicts(judged):
    assert judged["lemma-4"].verdict == "fails as printed; corrected form holds"
    assert judged["lemma-6"].verdict == "holds with constant C"
    assert all(j.as_recorded for j in judged.values())


def test_designs(outcomes):
    assert outcomes["lemma-4", "printed"].designs >= 500
    assert outcomes["lemma-4", "layers"].designs >= 500
    assert outcomes["lemma-6", "printed"].designs >= 500


def test_lemma_4_fails_where_noise_is_small_and_nowhere_else(outcomes):
    given, found = network_norms._data(), outcomes["lemma-4", "printed"]
    failing = found.seen.left > found.seen.right + found.seen.error
    assert failing.any()
    assert np.max((given["v"] * given["d"] / given["|x|²"])[failing]) < 0.2


@pytest.mark.parametrize(
    ("dim", "squared", "v", "excess"),
    [(50.0, 40.0, 0.3, 9.0), (20_000.0, 15_000.0, 1e-3, 8.0), (3000.0, 9000.0, 10.0, 6000.0)],
)
def test_probabilities_are_those_of_an_integral(dim, squared, v, excess):
    """Over the entry along x; the others are a chi-square variable."""
    middle, shift = squared / v + dim, np.sqrt(squared / v)
    rest = stats.chi2(dim - 1)

    def given(g):
        off = middle - (shift + g) ** 2
        return stats.norm.pdf(g) * (rest.sf(off + excess / v) + rest.cdf(off - excess / v))

    found = integrate.quad(given, -9, 9, limit=1000, epsabs=1e-14)[0]
    columns = (np.array([x]) for x in (dim, squared, v, excess))
    np.testing.assert_allclose(network_norms.outside(*columns)[0], found, rtol=1e-6)


def test_noise_along_one_direction():
    random = np.random.default_rng(0)
    off = np.abs(random.normal(size=200_000) ** 2 - 1) * 4.0 * 6
    columns = (np.array([x]) for x in (6.0, 5.0, 4.0, 20.0))
    assert abs(network_norms._one_way(*columns)[0] - np.mean(off > 20.0)) < 0.006


def test_lemma_6_constant_one_is_nearly_attained_at_depth_one(outcomes):
    assert 0.5 < outcomes["lemma-6", "printed"].tightness < 1
    found = outcomes["lemma-6", "sharper"]
    depth = network_norms._shifted(1.0)["L"]
    share = found.seen.left / found.seen.right
    typical = [np.median(share[depth == d]) for d in (1, 2, 4)]
    # The order L^{3/2} is right: the typical ratio hardly changes with depth.
    assert max(typical) < 1.3 * min(typical)


def test_the_worst_directions_are_worse_than_permutations():
    found = network_norms._shifted(1.0)
    assert np.all(found["worst"] >= found["along"] * (1 - 1e-6))


def test_ids():
    assert (LEMMA_4.id, LEMMA_6.id) == ("lemma-4", "lemma-6")
