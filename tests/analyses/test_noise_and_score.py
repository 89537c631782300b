"""The numbers of a noised law with two modes, against sums over a fine grid."""

import numpy as np
import pytest

from analyses import noise_and_score

PIECE = {
    "separation": 1.0,
    "width": 0.3,
    "sigmas": [0.5],
    "reach": 3.0,
    "points": 61,
    "sigma_min": 0.1,
    "sigma_max": 10.0,
    "levels": 5,
}


@pytest.fixture(scope="module")
def table():
    return noise_and_score.compute(PIECE)


def noised(x, sigma):
    """Density of the law, its derivative, and the mean of X_0 given x, written out."""
    c = 0.3**2 + sigma**2
    parts = [np.exp(-((x - m) ** 2) / (2 * c)) / np.sqrt(2 * np.pi * c) / 2 for m in (-1, 1)]
    density = parts[0] + parts[1]
    slope = -(x + 1) / c * parts[0] - (x - 1) / c * parts[1]
    means = [m + 0.3**2 / c * (x - m) for m in (-1, 1)]
    return density, slope, (means[0] * parts[0] + means[1] * parts[1]) / density


def test_curves_are_those_written_out(table):
    curve = table[table["part"] == "curve"]
    assert sorted(set(curve["sigma"])) == pytest.approx([0.5, np.sqrt(1 - 0.09)])
    for sigma, rows in curve.groupby("sigma"):
        density, slope, mean = noised(rows["x"].to_numpy(), sigma)
        # a few roundings of numbers of order one
        np.testing.assert_allclose(rows["density"], density, rtol=1e-12)
        np.testing.assert_allclose(rows["score"], slope / density, atol=1e-12)
        np.testing.assert_allclose(rows["denoiser"], mean, atol=1e-12)


def test_levels_are_sums_over_a_fine_grid(table):
    for row in table[table["part"] == "level"].itertuples():
        half = 1 + 12 * np.hypot(0.3, row.sigma)
        x = np.linspace(-half, half, 200_001)
        density, slope, mean = noised(x, row.sigma)
        step, v = x[1] - x[0], row.sigma**2
        alive = density > 0
        pure = np.exp(-(x**2) / (2 * v)) / np.sqrt(2 * np.pi * v)
        log = np.log(density, where=alive, out=np.zeros_like(x))
        # The trapezoid rule on Gaussian-smooth functions is exact to rounding; the mmse comes from
        # E X_0^2 - E D^2, two numbers of order one, hence absolute.
        assert row.entropy == pytest.approx(-step * np.sum(density * log), rel=1e-10)
        information = step * np.sum(slope[alive] ** 2 / density[alive])
        assert row.information == pytest.approx(information, rel=1e-9)
        assert row.mmse == pytest.approx(1.09 - step * np.sum(density * mean**2), abs=1e-10)
        assert row.bound == pytest.approx(1.09 / (2 * v))
        if row.sigma > 0.2:  # else the pure noise underflows where the data are
            start = step * np.sum((density * (log - np.log(pure)))[pure > 0])
            # the sum of log ratios of both signs: relative to what cancels, of order one
            assert row.initialization == pytest.approx(start, rel=1e-8, abs=1e-12)
        assert row.initialization < row.bound


def test_the_slope_of_the_entropy_is_half_the_information(table):
    levels = table[table["part"] == "level"]
    # central difference of half-width 0.005 in ln v: relative error of the order of 0.005^2
    np.testing.assert_allclose(levels["de_bruijn"], levels["information"], rtol=1e-4)


@pytest.mark.parametrize(("factor", "count"), [(0.99, 2), (1.01, 1)])
def test_modes_merge_where_they_should(factor, count):
    sigma = factor * noise_and_score.merging_sigma(PIECE)
    assert sigma == pytest.approx(factor * np.sqrt(0.91))
    assert noise_and_score.modes(noise_and_score.target_of(PIECE), sigma, 2.0) == count


def test_wide_modes_are_one_from_the_start():
    assert noise_and_score.merging_sigma({"separation": 0.1, "width": 0.3}) == 0


def test_finding_says_where_the_modes_merge(table):
    text = noise_and_score.finding(table)
    assert "merge at σ = 0.9539" in text
    assert f"Lemma 10 allows {1.09 / 200:.3g}" in text


def test_pieces_are_the_laws():
    settings = noise_and_score.EXPERIMENT.presets["full"]
    found = {piece["width"] for piece in noise_and_score.pieces(settings)}
    assert found == {law["width"] for law in settings["laws"]}
    assert all("laws" not in piece for piece in noise_and_score.pieces(settings))
