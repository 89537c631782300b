"""Errors against the dimension, by naive sums and recursions in NumPy and by the toolkit."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import design_space as ds
from analyses import dimension, spectra
from analyses.needed_steps import NODES, errors_in_steps, sum_over

DIMS = [3, 12, 192, 432, 768]
STEPS = 8


@pytest.fixture(scope="module")
def table():
    piece = {"part": "gaussian", "design": "edm", "dims": DIMS, "steps": STEPS}
    return dimension.compute(piece)


@pytest.fixture(scope="module")
def needed():
    piece = {"part": "steps", "design": "edm", "dims": DIMS, "most": 2048, "counts": 21}
    return dimension.compute(piece)


def levels():
    share = np.arange(STEPS + 1) / STEPS
    return (80 ** (1 / 7) * (1 - share) + 0.002 ** (1 / 7) * share) ** 7


def naive_path(values, sampler):
    """E_I + E_D with the true variance h (l + v')/(l + v) of a step over the sampler's."""
    v = levels() ** 2
    total = 0.5 * np.sum(values / v[0] - np.log1p(values / v[0]))
    for now, after in pairwise(v):
        h = now - after
        chosen = h if sampler == "paper" else h * after / now
        r = h * (values + after) / (values + now) / chosen
        total += 0.5 * np.sum(r - 1 - np.log(r))
    return total


def naive_marginals(values, sampler):
    """KL and W2 from the variance of each coordinate, carried through the steps."""
    sigma = levels()
    variance = np.full_like(values, sigma[0] ** 2)
    for now, after in pairwise(sigma):
        h, total = now**2 - after**2, values + now**2
        if sampler == "ddim":
            variance = variance * (1 - now * (now - after) / total) ** 2
        else:
            noise = h if sampler == "paper" else h * after**2 / now**2
            variance = variance * (1 - h / total) ** 2 + noise
    ratio = (values + sigma[-1] ** 2) / variance
    kl = 0.5 * np.sum(ratio - 1 - np.log(ratio))
    return kl, np.sqrt(np.sum((np.sqrt(variance) - np.sqrt(values + sigma[-1] ** 2)) ** 2))


def row(table, law, dim, sampler):
    rows = table[(table["part"] == "budget") & (table["law"] == law) & (table["dim"] == dim)]
    rows = rows[rows["sampler"] == sampler]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("law", spectra.SPECTRA)
@pytest.mark.parametrize("sampler", dimension.SAMPLERS)
def test_errors_are_naive_sums(table, law, sampler):
    for dim in (12, 192):
        values, found = spectra.SPECTRA[law](dim), row(table, law, dim, sampler)
        kl, w2 = naive_marginals(values, sampler)
        # Naive sums lose up to 1e-16 times the 80^2/.002^2 by which variances fall: 1e-7 of a
        # variance; a KL of .1 is quadratic in it.
        assert found["marginal_kl"] == pytest.approx(kl, rel=1e-6, abs=1e-12)
        assert found["w2"] == pytest.approx(w2, rel=1e-6, abs=1e-9)
        if sampler != "ddim":
            assert found["path_kl"] == pytest.approx(naive_path(values, sampler), rel=1e-9)


def test_budget_of_the_toolkit(table):
    target = ds.Gaussian.diagonal(np.zeros(12), spectra.decaying(12))
    for sampler, stepper in dimension.SAMPLERS.items():
        found = row(table, "decaying", 12, sampler)
        budget = ds.evaluate(target, ds.edm(STEPS), None, stepper)
        assert found["marginal_kl"] == pytest.approx(float(budget.marginal_kl.value), rel=1e-10)
        if sampler != "ddim":
            assert found["path_kl"] == pytest.approx(float(budget.path_kl.value), rel=1e-10)
        if sampler == "paper":
            for name in dimension.BOUNDS:
                assert found[name] == pytest.approx(float(budget.bounds[name]), rel=1e-10)


def test_spectra():
    assert np.all(spectra.decaying(12)[:3] == spectra.decaying(3))
    for law in ("isotropic", "image-like"):
        assert spectra.SPECTRA[law](192).sum() == pytest.approx(48)
    image = spectra.image_like(12)
    assert len(image) == 12
    assert image[0] / image[1] == pytest.approx(2)  # f^2 = 0 and 1, brightness
    assert spectra.subspace(192).sum() == 16
    with pytest.raises(ValueError, match=r"dim = 13: must be 3 n\^2"):
        spectra.image_like(13)


def test_directions_that_count_explain_the_path(table):
    rows = table[(table["part"] == "budget") & table["path_kl"].notna()]
    ratio = rows["path_kl"] / (rows["unit"] * rows["directions"])
    paper = rows["sampler"] == "paper"
    # To leading order in short steps, and these are long ones; path KLs differ by a factor of 500.
    assert ratio[paper].between(0.8, 1).all()
    assert ratio[~paper].between(1, 1.9).all()
    whole = row(table, "subspace", 768, "paper")  # 752 directions of noise alone
    assert whole["directions"] > 752


def test_posterior_noise_does_not_see_the_dimension(table):
    at = [row(table, "subspace", dim, "ancestral")["path_kl"] for dim in (192, 768)]
    assert at[0] == pytest.approx(at[1], rel=1e-12)
    paper = [row(table, "subspace", dim, "paper")["path_kl"] for dim in (192, 768)]
    per_direction = naive_path(np.zeros(1), "paper")
    assert paper[1] - paper[0] == pytest.approx(576 * per_direction, rel=1e-10)


def test_claims(table):
    claims = table[table["part"] == "claim"].set_index("claim")["verdict"]
    assert claims["Remark 2: E_D grows like d (isotropic)"] == "holds"
    assert claims["Remark 2: E_I grows like m2^2 (image-like)"] == "fails"
    assert claims["2405.14861: one choice of coefficients adapts (ancestral)"] == "holds"
    fits = table[table["part"] == "fit"].set_index(["law", "sampler", "quantity"])["value"]
    assert fits["isotropic", "paper", "path_kl"] == pytest.approx(1, abs=1e-12)
    assert fits["isotropic", "paper", "w2"] == pytest.approx(0.5, abs=1e-12)


def test_the_loop_over_steps_is_the_table(table):
    found = errors_in_steps(np.asarray([0.0, 0.25]), "edm", np.asarray(float(STEPS)))
    for key, name in (("path_kl", "path_kl"), ("marginal_kl", "marginal_kl")):
        for sampler in ("paper", "ancestral"):
            own = row(table, "isotropic", 3, sampler)[name]
            assert 3 * float(found[f"{key} {sampler}"][1]) == pytest.approx(own, rel=1e-9)
    assert float(found["path_kl ancestral"][0]) == 0


def test_splines_over_the_nodes():
    at = np.asarray(errors_in_steps(NODES, "edm", np.asarray(50.0))["path_kl ancestral"])
    values = spectra.decaying(300)
    exact = np.asarray(errors_in_steps(values, "edm", np.asarray(50.0))["path_kl ancestral"])
    assert sum_over(values, at) == pytest.approx(exact.sum(), rel=1e-6)


def test_steps_that_are_needed(needed):
    rows = needed[(needed["part"] == "steps") & (needed["goal"] == "marginal_kl")]
    chosen = rows[(rows["law"] == "isotropic") & (rows["dim"] == 12) & (rows["sampler"] == "paper")]
    count = int(chosen["needed"].iloc[0])
    errors = [
        12
        * float(errors_in_steps(np.asarray([0.25]), "edm", np.asarray(n))["marginal_kl paper"][0])
        for n in (0.99 * count // 1, float(count))
    ]
    assert errors[0] > 0.01
    assert errors[1] == pytest.approx(0.01, rel=0.02)  # the KL falls like N^-2, a step is 1 %


def test_finding_reads_the_table(table, needed):
    text = dimension.finding(pd.concat([table, needed]))
    assert "At d = 768, EDM, N = 8" in text
    assert "E_I grows like m2^2 (image-like)" in text


@pytest.mark.slow
def test_clusters_are_the_mixture_in_more_dimensions():
    piece = {"part": "clustered", "design": "edm", "dims": [3], "steps": 6}
    piece |= {"means": [-1.0, 1.0], "std": 0.1, "samplers": ["paper", "ddim"]}
    table = dimension.compute(piece)
    means = [[-0.6, 0.8, 0.0], [0.6, -0.8, 0.0]]
    target = ds.GaussianMixture.isotropic([0.5, 0.5], means, 0.1)
    for sampler, stepper in (("paper", ds.Frozen()), ("ddim", ds.Ancestral(0.0))):
        found = row(table, "clustered", 3, sampler)
        whole = ds.evaluate(target, ds.edm(6), None, stepper)
        for name in (
            ("marginal_kl", "w2") if sampler == "ddim" else ("path_kl", "marginal_kl", "w2")
        ):
            assert found[name] == pytest.approx(float(getattr(whole, name).value), rel=1e-7), name
        for name in dimension.BOUNDS if sampler == "paper" else ():
            assert found[name] == pytest.approx(float(whole.bounds[name]), rel=1e-7), name
