"""The analysis of guidance: pieces against quadrature in NumPy, closed forms and particles."""

import jax
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import design_space as ds
from analyses import guidance
from analyses.guided_laws import LOW, carried, limit, numbers, share_above, tilted

APART = guidance.LAWS["apart"]


def test_the_limit_of_numbers_with_two_orders():
    steps = np.array([10.0, 20.0, 40.0, 80.0])
    values = 3 + 2 / steps - 7 / steps**2
    value, error = limit(values)
    assert value == pytest.approx(3, abs=1e-12)
    assert error < 1e-12
    third = values + 5 / steps**3
    value, error = limit(third)
    assert 0 < abs(value - 3) < error


def test_the_tilted_law_by_quadrature():
    v, w = LOW**2, 3.0
    found = tilted(APART, w, v)
    x, s = np.linspace(-6, 8, 200_001), np.sqrt(0.25 + v)
    own, other = stats.norm(1, s).pdf(x), stats.norm(-1, s).pdf(x)
    aim = own * (own / (own + other)) ** (w - 1)
    z = np.sum(aim) * (x[1] - x[0])
    assert found.log_z == pytest.approx(np.log(z), rel=1e-10)
    mean = np.exp(found.log_values) @ found.x * (found.x[1] - found.x[0])
    assert mean == pytest.approx(np.sum(aim * x) / np.sum(aim), rel=1e-9)


def test_numbers_at_strength_one_are_those_of_the_class():
    v = LOW**2
    path = carried(APART, 1.0, 12)
    found = numbers(APART, 1.0, path)
    assert found["mean"] == pytest.approx(1, abs=1e-9)
    assert found["variance"] == pytest.approx(0.25 + v, rel=1e-9)
    for name in ("kl_tilted", "kl_class", "class_kl"):
        assert abs(found[name]) < 1e-9, name
    x, s = np.linspace(-6, 8, 200_001), np.sqrt(0.25 + v)
    own, other = stats.norm(1, s).pdf(x), stats.norm(-1, s).pdf(x)
    accuracy = np.sum(own * own / (own + other)) * (x[1] - x[0])
    assert found["accuracy"] == pytest.approx(accuracy, rel=1e-9)
    assert found["inverse"] == pytest.approx(2, rel=1e-6)
    assert share_above(path, 1.3) == pytest.approx(
        stats.norm(1, s).sf(1.3), abs=5e-5
    )  # interpolated


def test_numbers_of_a_guided_law_by_particles():
    schedule = ds.edm(12, sigma_min=LOW, sigma_max=20.0)
    path = carried(APART, 3.0, 12)
    found = numbers(APART, 3.0, path)
    # from N(0, v_0) in place of the class at v_0: W2 of the start is 1, contracted by 1e-3
    stepper = ds.optimal_variance(APART.labeled.given(1), schedule)
    score = ds.guided_exact(APART.labeled, 1, 3.0)
    made = ds.simulate(score, schedule, jax.random.key(1), count=40_000, dim=1, stepper=stepper)
    y = np.asarray(made.particles)[:, 0]
    wide = 5 * y.std() / np.sqrt(len(y))
    assert abs(y.mean() - found["mean"]) < wide + 0.01
    assert abs(y.var() - found["variance"]) < 5 * y.var() * np.sqrt(2 / len(y)) + 0.01
    assert found["mean"] > 1.1


def test_pieces_hold_every_law_and_variant():
    for preset in ("quick", "full"):
        pieces = guidance.pieces(guidance.EXPERIMENT.presets[preset])
        assert {p["law"] for p in pieces if p["part"] == "strength"} == set(guidance.LAWS)
        assert {p["variant"] for p in pieces if p["part"] == "variant"} == set(guidance.VARIANTS)


@pytest.mark.slow
def test_the_finding_from_small_tables():
    own = {"steps": 64, "strengths": [1.0, 4.0]}
    tables = [guidance.compute({"part": "strength", "law": law} | own) for law in guidance.LAWS]
    variant = {"part": "variant", "law": "apart", "variant": "low levels"} | own
    tables.append(guidance.compute(variant))
    density = {"part": "density", "steps": 64, "law": "apart", "range": [-3, 5], "points": 401}
    tables.append(guidance.compute(density))
    table = pd.concat(tables, ignore_index=True)
    drawn = table[table["part"] == "density"]
    for name, own in drawn.groupby("sampler"):
        assert own["density"].sum() * 0.02 == pytest.approx(1, abs=1e-3), name
    text = guidance.finding(table)
    assert "at strength 4" in text
    at = table[table["strength"] == 4].set_index(["part", "law", "sampler"])["mean"]
    apart = at["strength"]["apart"]
    assert 1 < apart["tilted"] < apart["noise"] < apart["flow"]
    assert at["variant"]["apart"]["noise"] < apart["noise"]


@pytest.mark.slow
def test_the_density_in_the_plane_by_particles():
    piece = {"part": "plane", "strength": 4.0, "steps": 24, "cells": 141}
    table = guidance.compute(piece)
    cell = (7 / 140) ** 2
    assert table["density"].sum() * cell == pytest.approx(1, abs=2e-3)
    score = ds.guided_exact(guidance.plane_problem(), 1, 4.0)
    schedule = ds.edm(24, sigma_min=LOW, sigma_max=20.0)
    made = ds.simulate(score, schedule, jax.random.key(2), count=50_000, dim=2)
    y = np.asarray(made.particles)
    mean = [(table[c] * table["density"]).sum() * cell for c in ("x", "y")]
    assert np.all(np.abs(y.mean(axis=0) - mean) < 5 * y.std(axis=0) / np.sqrt(len(y)) + 4e-3)
