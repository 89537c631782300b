"""The section [sampler]: every kind with its keys, what is refused, and how it is evaluated."""

import json

import jax
import numpy as np
import pytest
from specifications import EDM, PLAIN, check_refused, parse
from typer.testing import CliRunner

import design_space as ds
from design_space.cli import app
from design_space.grammar import GRAMMAR
from design_space.optimal.langevin import predictor_corrector
from design_space.optimal.step_variance import optimal_variance
from design_space.sampling.kinds import STEPPERS
from design_space.sampling.steppers import OptimalVariance, PredictorCorrector
from design_space.targets.gaussian import Gaussian

DESIGN = PLAIN + EDM
TARGET, GRID = Gaussian.isotropic(2, 0.5), ds.edm(steps=4)


def sampler(keys):
    return parse(DESIGN + "[sampler]\n" + keys).sampler()


def check_same(found, expected):
    """One class, the same moves."""
    assert type(found) is type(expected)
    moves, truths = found.moves(GRID), expected.moves(GRID)
    assert jax.tree.structure(moves) == jax.tree.structure(truths)
    for leaf, truth in zip(jax.tree.leaves(moves), jax.tree.leaves(truths), strict=True):
        np.testing.assert_array_equal(leaf, truth)


@pytest.mark.parametrize(
    ("keys", "build"),
    [
        ('kind = "frozen"', ds.Frozen),
        ('kind = "euler-maruyama"', lambda: ds.EulerMaruyama("time")),
        ('kind = "euler-maruyama"\nvariable = "sigma"', lambda: ds.EulerMaruyama("sigma")),
        ('kind = "ancestral"', lambda: ds.Ancestral(1.0)),
        ('kind = "ancestral"\neta = 0.25', lambda: ds.Ancestral(0.25)),
        ('kind = "ancestral"\neta = 0', lambda: ds.Ancestral(0.0)),
        ('kind = "optimal-variance"', lambda: optimal_variance(TARGET, GRID, "isotropic")),
        (
            'kind = "optimal-variance"\nform = "full"',
            lambda: optimal_variance(TARGET, GRID, "full"),
        ),
        ('kind = "ode-euler"', lambda: ds.FlowEuler("sigma")),
        ('kind = "ode-euler"\nvariable = "time"', lambda: ds.FlowEuler("time")),
        ('kind = "heun"', lambda: ds.FlowHeun("sigma")),
        ('kind = "heun"\nvariable = "time"', lambda: ds.FlowHeun("time")),
        ('kind = "midpoint"', ds.FlowMidpoint),
        ('kind = "churn"', lambda: ds.Churn(40.0, 0.05, 50.0, 1.003)),
        (
            'kind = "churn"\ns_churn = 1\ns_min = 0\ns_max = 7\ns_noise = 1',
            lambda: ds.Churn(1.0, 0.0, 7.0, 1.0),
        ),
        ('kind = "predictor-corrector"', lambda: predictor_corrector(TARGET, GRID, 0.16, 1)),
        (
            'kind = "predictor-corrector"\nsnr = 0.1\ncorrections = 2',
            lambda: predictor_corrector(TARGET, GRID, 0.1, 2),
        ),
    ],
)
def test_every_kind_builds_its_sampler(keys, build):
    check_same(sampler(keys), build())


def test_the_grammar_names_every_sampler_that_there_is():
    assert set(GRAMMAR["sampler"]) == set(STEPPERS)
    for kind, stepper in STEPPERS.items():
        assert type(sampler(f'kind = "{kind}"')) is stepper


def test_noise_computed_from_the_target_has_an_entry_per_step_of_the_schedule():
    song = PLAIN + '[schedule]\nkind = "song"\nsteps = 7\n[sampler]\n'
    noise = parse(song + 'kind = "optimal-variance"\n').sampler()
    assert isinstance(noise, OptimalVariance)
    assert noise.defects.shape == (7,)
    langevin = parse(song + 'kind = "predictor-corrector"\n').sampler()
    assert isinstance(langevin, PredictorCorrector)
    assert langevin.langevin_steps.shape == (7,)


@pytest.mark.parametrize(
    ("keys", "fragments"),
    [
        ("eta = 1", ["sampler.kind is missing", '"ancestral"', '"predictor-corrector"', "add it"]),
        ('kind = "ddim"', ["sampler.kind = 'ddim'", "one of", '"ode-euler"', "choose one"]),
        ('kind = "huen"', ["sampler.kind = 'huen'", "write heun"]),
        ('kind = "heun"\nvariabel = "time"', ["sampler.variabel", '"heun"', "write variable"]),
        ('kind = "heun"\neta = 1', ["sampler.eta = 1", 'kind "heun" (variable)']),
        ('kind = "frozen"\nvariable = "time"', ["sampler.variable", "nothing else", "remove it"]),
        ('kind = "midpoint"\nvariable = "time"', ["sampler.variable", "nothing else"]),
        ('kind = "heun"\nvariable = "t"', ["sampler.variable = 't'", "one of sigma, time"]),
        ('kind = "heun"\nvariable = 1', ["sampler.variable = 1", "a string", "quotes"]),
        ('kind = "ancestral"\neta = 1.5', ["sampler.eta = 1.5", "from 0 to 1", "take"]),
        ('kind = "ancestral"\neta = -0.5', ["sampler.eta = -0.5", "at least 0"]),
        ('kind = "ancestral"\neta = nan', ["sampler.eta = nan", "finite"]),
        ('kind = "ancestral"\neta = "all"', ["sampler.eta = 'all'", "a number", "quotes"]),
        ('kind = "churn"\ns_churn = -1', ["sampler.s_churn = -1.0", "at least 0"]),
        ('kind = "churn"\ns_noise = true', ["sampler.s_noise = True", "a number"]),
        ('kind = "churn"\nS_churn = 1', ["sampler.S_churn = 1", "write s_churn"]),
        ('kind = "optimal-variance"\nform = "diag"', ["sampler.form = 'diag'", "full, isotropic"]),
        ('kind = "predictor-corrector"\nsnr = 0', ["sampler.snr = 0.0", "above 0"]),
        ('kind = "predictor-corrector"\ncorrections = 0', ["sampler.corrections = 0", "least 1"]),
        ('kind = "predictor-corrector"\ncorrections = 1.5', ["sampler.corrections = 1.5", "whole"]),
    ],
)
def test_what_is_refused(keys, fragments):
    check_refused(DESIGN + "[sampler]\n" + keys, *fragments)


def test_the_schedules_of_edms_table():
    grid = parse(PLAIN + '[schedule]\nkind = "vp"\nsteps = 5\nbeta_d = 15\n').schedule()
    assert jax.tree.all(jax.tree.map(np.array_equal, grid, ds.vp(5, 15.0)))
    np.testing.assert_array_equal(
        parse(PLAIN + '[schedule]\nkind = "iddpm"\nsteps = 5\n').schedule().backward_sigmas,
        ds.iddpm(5).backward_sigmas,
    )


@pytest.mark.parametrize(
    ("keys", "fragments"),
    [
        ('kind = "vp"\n', ["schedule.steps is missing", "add"]),
        ('kind = "vp"\nsteps = 5\nrho = 7', ["schedule.rho = 7", 'kind "vp"']),
        ('kind = "vp"\nsteps = 5\nbeta_d = 0', ["schedule.beta_d = 0.0", "above 0"]),
        ('kind = "vp"\nsteps = 5\nt_min = 1', ["schedule.t_min = 1.0", "below schedule.t_max"]),
        ('kind = "iddpm"\nsteps = 5000', ["steps = 5000", "at most 991", "fewer"]),
        ('kind = "iddpm"\nsteps = 5\nfirst = 999', ["first = 999", "at most 998"]),
        ('kind = "iddpm"\nsteps = 5\nfirst = -1', ["schedule.first = -1", "at least 0"]),
    ],
)
def test_what_those_schedules_refuse(keys, fragments):
    check_refused(PLAIN + "[schedule]\n" + keys, *fragments)


def test_the_command_evaluates_a_flow(tmp_path):
    path = tmp_path / "design.toml"
    path.write_text(DESIGN)
    result = CliRunner().invoke(
        app, ["evaluate", str(path), "--set", "sampler.kind=heun", "--json"]
    )
    assert result.exit_code == 0, result.output
    row = json.loads(result.stdout)
    assert row["provenance"]["specification"]["sampler"] == {"kind": "heun", "variable": "sigma"}
    assert row["path_kl"]["value"] is None
    assert "moves without noise" in row["path_kl"]["reason"]
    truth = ds.evaluate(TARGET, GRID, sampler=ds.FlowHeun())
    assert row["marginal_kl"]["value"] == pytest.approx(float(truth.marginal_kl.value), rel=1e-12)
    assert row["bounds"] == {}
    table = CliRunner().invoke(app, ["evaluate", str(path), "--set", "sampler.kind=heun"])
    assert table.exit_code == 0, table.output
    assert "moves without noise" in " ".join(table.stdout.replace("│", " ").split())


class TestTraining:
    """Gaussian data in closed form: the flow has no path KL, and what was learned is the same.

    A score of its own at each trained level is held at those of Euler's steps, not at Heun's last.
    """

    def trained(self, sampler):
        target, grid = ds.Gaussian.isotropic(1, 0.5), ds.edm(steps=3)
        return ds.evaluate_training(
            target,
            grid,
            ds.weightings.edm_weighting(),
            ds.per_level_affine(1, grid),
            sampler,
            steps=[10, 200],
            samples=20,
        )

    def test_a_flow_has_marginal_errors_and_the_excess_of_the_score(self):
        found, paper = self.trained(ds.FlowEuler()), self.trained(None)
        assert found.method == paper.method == "closed form"
        for budget, score in zip(found.budgets, found.models, strict=True):
            for name in ("discretization", "score", "path_kl"):
                assert getattr(budget, name).method == "unavailable"
                assert "moves without noise" in getattr(budget, name).reason
            assert budget.bounds == {}
            alone = ds.evaluate(
                ds.Gaussian.isotropic(1, 0.5), ds.edm(steps=3), score, ds.FlowEuler()
            )
            assert budget.marginal_kl.method == budget.w2.method == "closed form"
            for name in ("initialization", "marginal_kl", "w2"):
                value, truth = getattr(budget, name).value, getattr(alone, name).value
                np.testing.assert_allclose(value, truth, rtol=1e-12)
        for own, other in zip(found.excesses, paper.excesses, strict=True):
            assert own.method == "closed form"
            np.testing.assert_allclose(own.value, other.value, rtol=1e-12)
        np.testing.assert_array_equal(found.losses, paper.losses)

    def test_heun_asks_where_a_score_of_levels_was_not_trained(self):
        with pytest.raises(ValueError, match=r"score\(x, 0\.002\) = NaN.*for instance FlowEuler"):
            self.trained(ds.FlowHeun())
