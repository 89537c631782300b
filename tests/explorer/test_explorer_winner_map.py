"""The kept map of winners: recomputed cells, and the windows of the theory."""

from itertools import pairwise

import numpy as np
import pytest

from design_space.explorer import winner_map
from design_space.explorer.winner_map import CRITERIA, build, load
from design_space.schedules.named import edm, song


def plain(variances, std, factor):
    """E_D + E_S and the marginal KL of the frozen sampler on N(0, std^2), step by step."""
    path, own, total = 0.0, variances[0], std * std
    for v, low in pairwise(variances):
        h = v - low
        x = h / (total + v)
        path += 0.5 * (-np.log1p(-x) - x) + 0.5 * h * (factor - 1) ** 2 / (total + v)
        own = (1 - factor * x) ** 2 * own + h
    ratio = own / (total + variances[-1])
    return np.array([path, 0.5 * (np.log(ratio) + 1 / ratio - 1)])


def test_cells_are_those_of_a_plain_recursion():
    kept, rng = load(), np.random.default_rng(1)
    for _ in range(60):
        f, n, s = (int(rng.integers(k.size)) for k in (kept.factors, kept.steps, kept.stds))
        steps, std = int(kept.steps[n]), kept.stds[s]
        grids = (np.array(make(steps=steps).backward_variances) for make in (edm, song))
        one, two = (plain(grid, std, kept.factors[f]) for grid in grids)
        expected = np.log(one / two)
        found = [kept.path_kl[f, n, s], kept.marginal_kl[f, n, s]]
        # float32; the plain marginal KL cancels to about 1e-8 of a nat where it is small
        assert found == pytest.approx(expected, abs=2e-6 + 1e-8 / two[1])


@pytest.mark.parametrize(
    ("criterion", "steps", "scales", "rel"),
    [
        ("path_kl", 10, [0.0059936], 2e-3),
        ("path_kl", 100, [0.010832], 2e-3),
        ("marginal_kl", 10, [0.351, 79.3], 0.01),
        ("marginal_kl", 50, [0.457, 52.0], 0.02),
        ("marginal_kl", 100, [0.472, 43.4], 0.02),
    ],
)
def test_the_windows_are_those_of_the_theory(criterion, steps, scales, rel):
    # published to three digits and more; here read off a grid of 20 scales per decade
    assert load().crossings(criterion, steps) == pytest.approx(scales, rel=rel)


def test_edm_wins_inside_the_window():
    kept = load()
    row = kept.rows("marginal_kl")[list(kept.steps).index(10)]
    assert row[np.argmin(np.abs(kept.stds - 1.0))] < 0
    assert row[np.argmin(np.abs(kept.stds - 0.1))] > 0
    assert row[np.argmin(np.abs(kept.stds - 100.0))] > 0


def test_the_kept_map_is_what_is_built():
    kept = load()
    some = build(kept.stds[::25], (5, 200), (1.0, 1.3))
    for criterion in CRITERIA:
        for place, n in enumerate((5, 200)):
            row = list(kept.steps).index(n)
            for factor in (1.0, 1.3):
                own = kept.rows(criterion, factor)[row, ::25]
                assert some.rows(criterion, factor)[place] == pytest.approx(own, abs=1e-5)


def test_the_map_is_small_and_what_it_lacks_is_refused():
    assert winner_map._FILE.stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"steps = 11: must be one of 5, 6, 7"):
        load().crossings("path_kl", 11)
    with pytest.raises(ValueError, match=r"factor = 2.0: must be one of 0.9, 1, 1.1, 1.3"):
        load().rows("path_kl", 2.0)
    with pytest.raises(ValueError, match="criterion = 'w2'"):
        load().rows("w2")
