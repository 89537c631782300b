"""The mixture twin against identities, differentiation and the trapezoid rule."""

import pytest

from reference import gaussian
from reference.mixture import Mixture
from reference.precision import mp, variances

# Quadrature to about sixty digits on pieces; forty are asked for, derivatives cost some.
TIGHT = mp.mpf(10) ** -40
BIMODAL = ([0.5, 0.5], [-1.0, 1.0], [0.01, 0.01])
LOPSIDED = ([0.3, 0.7], [-1.0, 2.0], [0.0, 0.09])


def close(a, b, tolerance=TIGHT):
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def trapezoid(data, v, f, points=6000):
    """E f by the trapezoid rule, which needs no pieces and converges spectrally."""
    far = 17 * mp.sqrt(max(data.variances) + v)
    low, high = min(data.means) - far, max(data.means) + far
    nodes = [low + (high - low) * k / points for k in range(points + 1)]
    terms = ((point.density * f(point)) for point in (data.at(x, v) for x in nodes))
    return mp.fsum(terms) * (high - low) / points


@pytest.mark.parametrize("law", [BIMODAL, LOPSIDED])
def test_score_and_slope_are_derivatives_of_the_log_density(law):
    data, v = Mixture(*law), mp.mpf(1) / 20
    for x in (-0.7, 0.1, 2.5):
        point = data.at(mp.mpf(x), v)
        first, second = (
            mp.diff(lambda y: mp.log(data.at(y, v).density), x, order) for order in (1, 2)
        )
        assert close(point.score, first, mp.mpf(10) ** -25)
        assert close(point.slope, second, mp.mpf(10) ** -20)
        # Tweedie's second formula links the slope to the posterior variance.
        assert close(point.slope, point.posterior_variance / v**2 - 1 / v)


@pytest.mark.parametrize(("law", "v"), [(BIMODAL, 4e-6), (BIMODAL, 0.3), (LOPSIDED, 0.05)])
def test_fisher_information_and_mmse_are_one_identity(law, v):
    data, exact_v = Mixture(*law), mp.mpf(v)
    assert close(
        data.fisher_information(v), 1 / exact_v - data.mmse(v) / exact_v**2, mp.mpf(10) ** -35
    )


def test_derivatives_in_the_variance():
    # I' against a symmetric difference of I, and H' = I/2 (de Bruijn), to the square of the step.
    data, v, step = Mixture(*BIMODAL), mp.mpf("0.3"), mp.mpf(10) ** -12
    slope = (data.fisher_information(v + step) - data.fisher_information(v - step)) / (2 * step)
    assert close(data.fisher_information_slope(v), slope, mp.mpf(10) ** -20)
    rate = (data.entropy(v + step) - data.entropy(v - step)) / (2 * step)
    assert close(data.fisher_information(v) / 2, rate, mp.mpf(10) ** -20)


def test_expectations_by_the_trapezoid_rule():
    data, v = Mixture(*LOPSIDED), mp.mpf("0.2")
    information = trapezoid(data, v, lambda point: point.score**2)
    entropy = trapezoid(data, v, lambda point: -mp.log(point.density))
    # Poles of the score near the line limit the rule at this spacing to some thirty digits.
    assert close(data.fisher_information(v), information, mp.mpf(10) ** -30)
    assert close(data.entropy(v), entropy, mp.mpf(10) ** -30)


def test_equal_components_are_one_gaussian():
    data = Mixture([0.2, 0.8], [0.5, 0.5], [0.25, 0.25])
    sigmas = [80.0, 3.0, 0.5, 0.01]
    expected = gaussian.errors([0.25], [0.5], variances(sigmas), 0.9, [0.1])
    grid = variances(sigmas)
    assert close(data.initialization(grid), expected.initialization)
    assert close(data.discretization(grid), expected.discretization)
    assert close(data.score_error(grid, 0.9, 0.1), expected.score)


def test_discretization_by_nested_quadrature():
    data, grid = Mixture(*BIMODAL), variances([1.0, 0.8, 0.5])
    nested = data.discretization_nested(grid, digits=14)
    assert close(data.discretization(grid), nested, mp.mpf(10) ** -12)


def test_initialization_is_the_second_moment_bound_less_the_mutual_information():
    # KL(p_v | N(0, v)) = E|X_0|^2/(2v) - MI(X_0; X_v), MI = H(p_v) - (1/2) log(2 pi e v).
    data, v = Mixture(*LOPSIDED), mp.mpf(9)
    moment = sum(
        w * (m**2 + s2) for w, m, s2 in zip(data.weights, data.means, data.variances, strict=True)
    )
    information = data.entropy(v) - mp.log(2 * mp.pi * mp.e * v) / 2
    assert close(data.initialization([v]), moment / (2 * v) - information)
