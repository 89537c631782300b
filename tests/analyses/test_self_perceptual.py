"""The self-perceptual loss on small networks: pairs of runs, laws, intervals, and its claims."""

import jax
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import design_space as ds
from analyses import perceptual_ablation, self_perceptual
from analyses.perceptual_runs import (
    LABEL,
    PLANS,
    Plan,
    compared,
    denoised,
    exact,
    numbers,
    perceptual,
    start,
)
from analyses.statements import perceptual_claims
from design_space.training.ensemble import member

TINY = Plan("conditional", (0.3, 0.5), 3, depth=1, seeds=2, steps=24, points=3, levels=4)


@pytest.fixture(scope="module")
def table():
    piece = TINY._asdict() | {"stds": list(TINY.stds)}
    return self_perceptual.compute(piece)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.weights(), other.weights(), strict=True))


class TestPairs:
    def test_equal_times_leave_the_first_phase(self):
        assert same(perceptual(TINY, times="equal"), start(TINY).models)
        assert not same(perceptual(TINY), start(TINY).models)
        assert not same(denoised(TINY), start(TINY).models)

    def test_everything_is_drawn_from_keys(self):
        assert same(denoised(TINY), denoised(TINY))
        first = [np.asarray(member(start(TINY).models, i).weights()[0]) for i in range(4)]
        assert len({matrix.tobytes() for matrix in first}) == 4

    def test_both_losses_see_the_same_batches(self):
        mixed = perceptual(TINY, denoising=1e8)
        # the perceptual part is then 1e-8 of the gradient, and Adam divides by its size
        for one, other in zip(mixed.weights(), denoised(TINY).weights(), strict=True):
            np.testing.assert_allclose(one, other, atol=2e-3)

    def test_labels_are_left_out_in_their_share(self):
        plan = TINY._replace(steps=400)
        labels = np.asarray(start(plan).batches.labels)
        assert set(np.unique(labels)) == {-1, 0, 1}
        count = labels.size
        assert abs(np.mean(labels == -1) - 0.2) < 4.5 * (0.16 / count) ** 0.5


class TestNumbers:
    def test_rows_are_those_of_every_network(self, table):
        rows = table[table["part"] == "network"]
        counts = rows.groupby(["method", "strength", "std"]).size()
        assert (counts.drop("exact score") == 2).all()
        assert (counts["exact score"] == 1).all()
        assert len(counts) == 3 * 2 * 2
        assert np.all(rows["error"] < 1e-3 * (1 + rows["kl"]))

    def test_a_law_is_that_of_the_guided_network(self, table):
        model = member(denoised(TINY), 2)  # the first seed of the second std
        target, labeled = TINY.target(0.5), TINY.source(0.5)
        score = ds.GuidedScore(model.given(LABEL), model.given(None), 2.0)
        found = ds.realism(
            target, TINY.schedule, score, ds.Ancestral(), classifier=labeled.log_posterior
        )
        rows = table[(table["part"] == "network") & (table["method"] == "denoising")]
        row = rows[(rows["std"] == 0.5) & (rows["strength"] == 2) & (rows["seed"] == 0)].iloc[0]
        np.testing.assert_allclose(row["valley"], found.valley_mass.value, rtol=1e-10)
        np.testing.assert_allclose(row["missed"], 1 - found.recall.value, rtol=1e-8)
        np.testing.assert_allclose(row["accuracy"], found.class_probabilities.value[LABEL])
        weights = np.asarray(found.mode_weights.value)
        np.testing.assert_allclose(row["imbalance"], np.max(np.abs(weights - 0.5)), rtol=1e-8)

    def test_exact_scores_are_those_of_particles(self):
        found = numbers(TINY, 0.3, exact(TINY, 0.3, 2.0))
        labeled, count = TINY.source(0.3), 100_000
        drawn = ds.simulate(
            ds.guided_exact(labeled, LABEL, 2.0),
            TINY.schedule,
            jax.random.key(1),
            count=count,
            dim=1,
            stepper=ds.Ancestral(),
        ).particles
        variance = TINY.schedule.backward_variances[-1]
        sure = np.exp(jax.vmap(lambda x: labeled.log_posterior(x, variance)[LABEL])(drawn))
        assert abs(np.mean(sure) - found["accuracy"]) < 4.5 * np.std(sure) / count**0.5

    def test_means_and_intervals(self, table):
        own = table[(table["method"] == "self-perceptual") & (table["strength"] == 1)]
        own = own[own["std"] == 0.3]
        values = own.loc[own["part"] == "network", "w2"]
        row = own[(own["part"] == "mean") & (own["number"] == "w2")].iloc[0]
        low, high = stats.t.interval(0.95, 1, loc=values.mean(), scale=stats.sem(values))
        np.testing.assert_allclose(
            [row["mean"] - row["half"], row["mean"] + row["half"]], [low, high]
        )

        half = stats.t.ppf(0.975, 1) * stats.sem(np.log(values))
        middle = np.sqrt(values.iloc[0] * values.iloc[1])
        np.testing.assert_allclose(row["middle"], middle)
        np.testing.assert_allclose([row["low"], row["high"]], middle * np.exp([-half, half]))

    def test_the_finding_has_the_ratio_of_means(self, table):
        rows = table[
            (table["part"] == "network") & (table["std"] == 0.5) & (table["strength"] == 1)
        ]
        means = rows.groupby("method")["valley"].mean()
        ratio = means["self-perceptual"] / means["denoising"]
        assert f"{ratio:.2g} (width 3, std 0.5)" in self_perceptual.finding(table)


class TestAblation:
    def test_variants_of_a_tiny_plan(self):
        plan = TINY._replace(stds=(0.5,))._asdict() | {"stds": [0.5]}
        piece = {
            "plan": plan,
            "strengths": [1.0],
            "variants": ["denoising", "equal times", "repeated"],
        }
        table = perceptual_ablation.compute(piece)
        means = table[(table["part"] == "mean") & (table["number"] == "valley")]
        assert list(means["variant"]) == piece["variants"]
        assert np.all(means["seeds"] == 2)
        assert "repeated" in perceptual_ablation.finding(table)

    def test_ratios_are_paired(self):
        seeds = np.arange(3)
        control = pd.DataFrame(
            {"seed": seeds, "valley": [1.0, 2.0, 4.0], "imbalance": 1.0, "w2": 1.0}
        )
        own = control.assign(variant="v", strength=1.0, valley=[0.5, 1.0, 2.0], w2=[1.0, 2.0, 4.0])
        found = perceptual_ablation.ratios(own.iloc[::-1], control).set_index("number")
        np.testing.assert_allclose(found.loc["valley", ["ratio", "low", "high"]].tolist(), 0.5)
        half = stats.t.ppf(0.975, 2) * np.log(2) / 3**0.5
        np.testing.assert_allclose(found.loc["w2", "ratio"], 2.0)
        np.testing.assert_allclose(np.log(found.loc["w2", "high"] / 2), half)

    def test_pieces_cover_every_variant_once(self):
        for preset in perceptual_ablation.EXPERIMENT.presets.values():
            pieces = perceptual_ablation.pieces(preset)
            names = [name for piece in pieces for name in piece["variants"]]
            assert names == ["denoising", *perceptual_ablation.VARIANTS, "repeated"]


class TestClaims:
    @pytest.fixture
    def handmade(self, monkeypatch):
        """Three seeds: half of the mass at width 4, one and a half times it at width 32."""
        plans = [plan for plan in PLANS if plan.world == "conditional" and plan.width != 12]
        seeds = np.arange(3)

        def rows(plan):
            factor = 0.5 if plan.width == 4 else 1.5
            own = {"world": plan.world, "width": plan.width, "std": plan.stds[0], "strength": 1.0}
            base = 0.1 + 0.02 * seeds
            noise = np.exp(0.01 * np.array([-1.0, 0.0, 1.0]))
            parts = [("denoising", base), ("self-perceptual", factor * base * noise)]
            return pd.concat(
                pd.DataFrame(own | {"method": name, "seed": seeds, "valley": values})
                for name, values in parts
            )

        monkeypatch.setattr(perceptual_claims, "PLANS", plans)  # two of three settings
        monkeypatch.setattr(perceptual_claims, "compared", rows)

    def test_ends_of_paired_intervals(self, handmade):
        found = perceptual_claims.QUALITY.printed.check.observe({})
        # logs are -1, 0, 1 hundredths about the mean; three settings of the statement share one
        # per cent on two sides
        half = stats.t.ppf(1 - 0.01 / 6, 2) * 0.01 / 3**0.5
        np.testing.assert_allclose(found.left, [0.5 * np.exp(half), 1.5 * np.exp(half)])
        np.testing.assert_array_equal(found.right, [0.9, 0.9])
        assert found.confidence == 0.99
        said = "ratio of valley, upper end, conditional, width 32, std 0.15"
        assert found.labels[1] == said

    def test_a_broken_claim_is_refuted_by_the_lower_end(self, handmade):
        found = perceptual_claims.QUALITY.broken[0].check.observe({})
        half = stats.t.ppf(1 - 0.01 / 6, 2) * 0.01 / 3**0.5
        np.testing.assert_allclose(found.left, [0.5 * np.exp(-half)])
        assert found.left[0] < found.right[0]  # half of the mass at width 4: not refuted

    def test_differences(self, handmade):
        run = perceptual_claims._at_most(
            perceptual_claims.PERCEPTUAL,
            perceptual_claims.CONTROL,
            "valley",
            0.0,
            plans=lambda plan: plan.width == 32,
            comparisons=1,
            relative=False,
        )
        base = 0.1 + 0.02 * np.arange(3)
        gaps = 1.5 * base * np.exp(0.01 * np.array([-1.0, 0.0, 1.0])) - base
        half = stats.t.ppf(1 - 0.01 / 2, 2) * np.std(gaps, ddof=1) / 3**0.5
        np.testing.assert_allclose(run().left, [np.mean(gaps) + half])

    def test_statements_are_of_what_was_registered(self):
        assert {plan.width for plan in PLANS} == {4, 12, 32}
        assert all(plan.seeds == 20 for plan in PLANS)
        assert perceptual_claims.RATIO == 0.9


def test_plans_are_computed_once():
    assert compared(TINY) is compared(TINY)
