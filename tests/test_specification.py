"""Specification files: every form of the contract is read, every other one is refused by name."""

import jax.numpy as jnp
import numpy as np
import pytest
from specifications import CONTRACT, EDM, GAUSSIAN, PLAIN, parse

from design_space.scores.affine import AffineScore
from design_space.specification import Specification
from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture


class TestWhatIsRead:
    def test_the_specification_of_the_contract(self):
        design = parse(CONTRACT)
        target, schedule = design.target(), design.schedule()
        assert isinstance(target, GaussianMixture)
        np.testing.assert_array_equal(target.mean(), [0.0])
        # variance of the mixture: 0.1^2 within, 1 between
        np.testing.assert_allclose(target.covariance(), [[1.01]], rtol=1e-15)
        assert schedule.steps == 50
        assert schedule.backward_sigmas[0] == 80.0
        assert schedule.backward_sigmas[-1] == 0.002
        x = jnp.asarray([0.3])
        np.testing.assert_array_equal(design.score()(x, 0.5), target.score(x, 0.25))

    def test_score_and_sampler_may_be_left_out(self):
        given = parse(PLAIN + EDM).to_dict()
        assert given["score"] == {"kind": "exact"}
        assert given["sampler"] == {"kind": "frozen"}

    def test_defaults_of_the_schedule(self):
        given = parse(PLAIN + EDM).to_dict()["schedule"]
        expected = {"kind": "edm", "steps": 4, "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}
        assert given == expected

    @pytest.mark.parametrize(
        ("keys", "mean", "covariance"),
        [
            ("dim = 2\nstd = 0.5", [0, 0], [[0.25, 0], [0, 0.25]]),
            ("mean = [1, 2]\nstd = 0.5", [1, 2], [[0.25, 0], [0, 0.25]]),
            ("dim = 2\nmean = [1, 2]\nstd = 0", [1, 2], [[0, 0], [0, 0]]),
            ("mean = [1, 2.5]\nvariances = [1, 4]", [1, 2.5], [[1, 0], [0, 4]]),
            ("mean = [0, 0]\ncovariance = [[2, 1], [1, 2]]", [0, 0], [[2, 1], [1, 2]]),
        ],
    )
    def test_forms_of_a_gaussian(self, keys, mean, covariance):
        target = parse(GAUSSIAN + keys + "\n" + EDM).target()
        assert isinstance(target, Gaussian)
        np.testing.assert_array_equal(target.mean(), mean)
        np.testing.assert_allclose(target.covariance(), covariance, atol=1e-15)

    def test_mixture_with_covariances(self):
        text = (
            '[target]\nkind = "mixture"\nweights = [0.25, 0.75]\nmeans = [[0, 0], [0, 4]]\n'
            "covariances = [[[1, 0], [0, 1]], [[2, 1], [1, 2]]]\n"
        )
        covariance = parse(text + EDM).target().covariance()
        # by hand: within (0.25 I + 0.75 S), between 16 * 0.25 * 0.75 in the second coordinate
        np.testing.assert_allclose(covariance, [[1.75, 0.75], [0.75, 4.75]], rtol=1e-14)

    def test_empirical_points_inline_and_from_files(self, tmp_path):
        points = np.asarray([[0.0, 1.0], [2.0, 3.0], [4.0, 5.5]])
        np.save(tmp_path / "points.npy", points)
        np.savetxt(tmp_path / "points.csv", points, delimiter=",")
        for given in (str(points.tolist()), '"points.npy"', '"points.csv"'):
            text = f'[target]\nkind = "empirical"\npoints = {given}\n' + EDM
            target = parse(text, tmp_path).target()
            assert isinstance(target, Empirical)
            np.testing.assert_array_equal(target.points, points)

    def test_files_are_looked_up_beside_the_specification(self, tmp_path, monkeypatch):
        np.save(tmp_path / "points.npy", np.ones((3, 1)))
        text = '[target]\nkind = "empirical"\npoints = "points.npy"\n' + EDM
        (tmp_path / "design.toml").write_text(text)
        monkeypatch.chdir("/")
        assert Specification.load(tmp_path / "design.toml").target().dim == 1

    def test_song_is_geometric(self):
        text = PLAIN + '[schedule]\nkind = "song"\nsteps = 2\nsigma_min = 0.1\nsigma_max = 10\n'
        np.testing.assert_allclose(parse(text).schedule().backward_sigmas, [10, 1, 0.1], rtol=1e-14)

    def test_pair_of_variance_and_time(self):
        text = (
            PLAIN + '[schedule]\nvariance = "sqrt"\ntime = "uniform"\n'
            "steps = 2\nsigma_min = 1\nsigma_max = 3\n"
        )
        design = parse(text)
        # uniform in sigma^2: 9, 5, 1
        expected = np.sqrt([9.0, 5.0, 1.0])
        np.testing.assert_allclose(design.schedule().backward_sigmas, expected, rtol=1e-15)
        assert "kind" not in design.to_dict()["schedule"]

    def test_custom_sigmas_are_kept(self):
        text = PLAIN + '[schedule]\nkind = "custom"\nsigmas = [3, 2.5, 0.25]\n'
        np.testing.assert_array_equal(parse(text).schedule().backward_sigmas, [3, 2.5, 0.25])

    def test_custom_sigmas_take_the_exponent_of_their_variance_schedule(self):
        text = PLAIN + '[schedule]\nkind = "custom"\nsigmas = [3, 2]\nexponent = 0.25\n'
        np.testing.assert_allclose(parse(text).schedule().backward_times, [81, 16], rtol=1e-14)

    def test_path_optimal_is_geometric_in_total_variance(self):
        text = (
            PLAIN + '[schedule]\nkind = "path-optimal"\nsteps = 2\nsigma_min = 1\nsigma_max = 9\n'
        )
        total = np.asarray(parse(text).schedule().backward_variances) + 0.25
        np.testing.assert_allclose(total[1], np.sqrt(total[0] * total[2]), rtol=1e-12)

    def test_scaled_and_shifted_scores(self):
        x = jnp.asarray([0.3, -0.2])
        exact = -np.asarray(x) / (0.25 + 4.0)
        scaled = parse(PLAIN + EDM + '[score]\nkind = "scaled"\nfactor = 1.5\n').score()
        np.testing.assert_allclose(scaled(x, 2.0), 1.5 * exact, rtol=1e-15)
        shifted = parse(PLAIN + EDM + '[score]\nkind = "shifted"\nshift = [1, 2]\n').score()
        np.testing.assert_allclose(shifted(x, 2.0), exact + np.asarray([1, 2]), rtol=1e-15)

    def test_affine_score_takes_its_levels_from_the_schedule_in_sampling_order(self):
        text = (
            PLAIN + '[schedule]\nkind = "custom"\nsigmas = [3, 2, 1]\n'
            '[score]\nkind = "affine"\nslopes = [-0.1, -0.2]\nintercepts = [[0, 1], [2, 3]]\n'
        )
        score = parse(text).score()
        assert isinstance(score, AffineScore)
        x = jnp.asarray([1.0, 1.0])
        np.testing.assert_allclose(score(x, 3.0), [-0.1, 0.9], rtol=1e-15)
        np.testing.assert_allclose(score(x, 2.0), [1.8, 2.8], rtol=1e-15)

    def test_python_data_may_hold_arrays(self):
        given = {
            "target": {"kind": "empirical", "points": np.eye(2)},
            "schedule": {"kind": "song", "steps": np.int64(3)},
        }
        design = Specification.parse(given)
        assert design.to_dict()["target"]["points"] == [[1.0, 0.0], [0.0, 1.0]]
        assert design.schedule().steps == 3

    def test_what_is_written_back_reads_the_same(self):
        design = parse(CONTRACT)
        assert Specification.parse(design.to_dict()).to_dict() == design.to_dict()


class TestOverrides:
    def test_values_are_toml_and_bare_words_are_strings(self):
        design = parse(CONTRACT).with_overrides(
            ["schedule.steps=100", "schedule.kind = song", "target.weights=[0.25, 0.75]"]
        )
        fields = design.to_dict()
        assert fields["schedule"]["steps"] == 100
        assert fields["schedule"]["kind"] == "song"
        assert fields["target"]["weights"] == [0.25, 0.75]

    def test_a_section_may_be_new(self):
        design = parse(PLAIN + EDM).with_overrides(["score.kind=scaled", "score.factor=2"])
        assert design.to_dict()["score"] == {"kind": "scaled", "factor": 2.0}

    def test_the_original_stays(self):
        design = parse(CONTRACT)
        design.with_overrides(["schedule.steps=100"])
        assert design.to_dict()["schedule"]["steps"] == 50

    @pytest.mark.parametrize("text", ["steps=3", "schedule.steps", "=3", "schedule.=3", ""])
    def test_form(self, text):
        with pytest.raises(ValueError, match=r"override = .*section\.key=value.*schedule\.steps="):
            parse(CONTRACT).with_overrides([text])

    @pytest.mark.parametrize("value", ["[1, 2", "two words", "", "'a", "1\nother = 2"])
    def test_values_that_are_not_toml(self, value):
        with pytest.raises(ValueError, match=r"schedule\.steps = .*must be a TOML value; quote"):
            parse(CONTRACT).with_overrides([f"schedule.steps={value}"])

    def test_an_override_is_checked_like_the_file(self):
        with pytest.raises(ValueError, match=r"schedule\.steps = 0: must be a whole number"):
            parse(CONTRACT).with_overrides(["schedule.steps=0"])
        with pytest.raises(ValueError, match=r"schedule\.steps = 50: must be a table"):
            parse(CONTRACT).with_overrides(["schedule.steps.more=0"])
