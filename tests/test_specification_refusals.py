"""Bad specifications: each is refused before anything is computed, naming field, domain, remedy."""

import numpy as np
import pytest
from specifications import CONTRACT, EDM, GAUSSIAN, PLAIN, check_refused, parse

from design_space.specification import Specification

MIXTURE = '[target]\nkind = "mixture"\n'
PAIRED = "weights = [0.5, 0.5]\nmeans = [[-1], [1]]\n"


def schedule(keys):
    return PLAIN + "[schedule]\n" + keys


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("[target\n", ["must be TOML", "line 1", "column 8"]),
        ("[target]\nkind = gaussian\n", ["must be TOML", "line 2", "column 8"]),
        ("a = 1\na = 2\n", ["must be TOML", "line 2"]),
    ],
)
def test_malformed_toml_names_line_and_column(tmp_path, text, fragments):
    path = tmp_path / "design.toml"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        Specification.load(path)
    for fragment in ["design.toml", *fragments]:
        assert fragment in str(caught.value)


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "design.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"design\.toml: must be UTF-8 text"):
        Specification.load(tmp_path / "design.toml")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"design\.toml"):
        Specification.load(tmp_path / "design.toml")


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("", ["target is missing", '"empirical", "gaussian", "mixture"', "add [target]"]),
        (PLAIN, ["schedule is missing", "add [schedule]"]),
        ("target = 3\n" + EDM, ["target = 3", "must be a table"]),
        (PLAIN + EDM + "[scores]\n", ["scores = {}", "one of the sections", "write score"]),
        (PLAIN + EDM + "steps2 = 1\n", ["schedule.steps2 = 1", "write steps"]),
        (PLAIN + EDM + "zzz = 1\n", ["schedule.zzz = 1", 'kind "edm"', "remove it"]),
        (PLAIN + EDM + "[score]\nfactor = 1\n", ["score.kind is missing", '"scaled"']),
    ],
)
def test_sections_and_keys(text, fragments):
    check_refused(text, *fragments)


def test_a_sweep_is_no_single_design():
    check_refused(PLAIN + EDM + "[sweep]\n", "sweep = {}", "many", "run `design-space sweep`")


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        (EDM + '[target]\nkind = "gausian"\n', ["target.kind = 'gausian'", "write gaussian"]),
        (EDM + "[target]\nkind = 1\n", ["target.kind = 1", "must be a string", "quotes"]),
        (EDM + "[target]\nstd = 1\n", ["target.kind is missing", '"mixture"', "add it"]),
        (schedule('kind = "flow"\n'), ["schedule.kind = 'flow'", '"path-optimal"', "choose one"]),
        (schedule("steps = 3\n"), ["schedule.kind is missing", "variance and time"]),
        (PLAIN + EDM + '[sampler]\nkind = "ddim"\n', ["sampler.kind = 'ddim'", '"frozen"']),
    ],
)
def test_kinds(text, fragments):
    check_refused(text, *fragments)


@pytest.mark.parametrize(
    ("keys", "fragments"),
    [
        ('kind = "edm"\n', ["schedule.steps is missing", "add `steps = ...` to [schedule]"]),
        ('kind = "edm"\nsteps = 0\n', ["schedule.steps = 0", "whole number of at least 1"]),
        ('kind = "edm"\nsteps = 5.0\n', ["schedule.steps = 5.0", "whole number"]),
        ('kind = "edm"\nsteps = true\n', ["schedule.steps = True", "whole number"]),
        ('kind = "edm"\nsteps = "5"\n', ["schedule.steps = '5'", "whole number"]),
        (
            'kind = "edm"\nsteps = 5\nsigma_min = 90\n',
            ["schedule.sigma_min = 90.0", "below schedule.sigma_max = 80.0"],
        ),
        (
            'kind = "song"\nsteps = 5\nsigma_min = 1\nsigma_max = 1\n',
            ["schedule.sigma_min = 1.0", "below schedule.sigma_max = 1.0"],
        ),
        ('kind = "song"\nsteps = 5\nsigma_min = 0\n', ["schedule.sigma_min = 0.0", "above 0"]),
        ('kind = "song"\nsteps = 5\nsigma_max = inf\n', ["schedule.sigma_max = inf", "finite"]),
        ('kind = "edm"\nsteps = 5\nrho = nan\n', ["schedule.rho = nan", "finite"]),
        ('kind = "edm"\nsteps = 5\nrho = -7\n', ["schedule.rho = -7.0", "above 0"]),
        ('kind = "edm"\nsteps = 5\nrho = "7"\n', ["schedule.rho = '7'", "a number", "quotes"]),
        ('kind = "edm"\nsteps = 5\nrho = false\n', ["schedule.rho = False", "a number"]),
        ('kind = "edm"\nsteps = 5\nrho = [7]\n', ["schedule.rho = [7]", "a number"]),
        ('kind = "edm"\nsteps = 5\ntime = "uniform"\n', ["schedule.time", 'kind "edm"']),
        ('variance = "linear"\nsteps = 5\n', ["schedule.time is missing", '"cosine"']),
        ('time = "uniform"\nsteps = 5\n', ["schedule.variance is missing", '"sqrt"']),
        (
            'variance = "cubic"\ntime = "uniform"\nsteps = 5\n',
            ["schedule.variance = 'cubic'", "linear, sqrt"],
        ),
        (
            'variance = "sqrt"\ntime = "unform"\nsteps = 5\n',
            ["schedule.time = 'unform'", "cosine, exponential, polynomial, uniform"],
        ),
        ('kind = "custom"\n', ["schedule.sigmas is missing", "from large to small"]),
        ('kind = "custom"\nsigmas = [1, 2]\n', ["schedule.sigmas", "strictly decreasing"]),
        ('kind = "custom"\nsigmas = [2, 2]\n', ["schedule.sigmas", "strictly decreasing"]),
        ('kind = "custom"\nsigmas = [2]\n', ["schedule.sigmas = [2.0]", "two levels"]),
        ('kind = "custom"\nsigmas = []\n', ["schedule.sigmas = []", "not empty"]),
        ('kind = "custom"\nsigmas = [2, 1, 0]\n', ["schedule.sigmas", "drop the appended 0"]),
        ('kind = "custom"\nsigmas = [2, -1]\n', ["schedule.sigmas", "above 0"]),
        ('kind = "custom"\nsigmas = [2, nan]\n', ["schedule.sigmas", "finite"]),
        ('kind = "custom"\nsigmas = 3\n', ["schedule.sigmas = 3", "list of numbers", "brackets"]),
        ('kind = "custom"\nsigmas = [2, "1"]\n', ["schedule.sigmas[1] = '1'", "a number"]),
        ('kind = "custom"\nsigmas = [2, 1]\nsteps = 1\n', ["schedule.steps", "(sigmas, exponent)"]),
        ('kind = "custom"\nsigmas = [2, 1]\nexponent = 0\n', ["schedule.exponent", "above 0"]),
    ],
)
def test_schedules(keys, fragments):
    check_refused(schedule(keys), *fragments)


@pytest.mark.parametrize(
    ("keys", "fragments"),
    [
        ("", ["target.std is missing", "exactly one of std, variances, covariance"]),
        (
            "dim = 2\nstd = 1\nvariances = [1, 1]\n",
            ["['std', 'variances']", "exactly one of", "keep one"],
        ),
        ("std = 1\n", ["target.mean is missing", "std with dim"]),
        ("dim = 2\nvariances = [1, 1]\n", ["target.mean is missing"]),
        ("dim = 0\nstd = 1\n", ["target.dim = 0", "at least 1"]),
        ("dim = 2\nstd = -1\n", ["target.std = -1.0", "at least 0"]),
        ("dim = 3\nmean = [0, 0]\nstd = 1\n", ["target.dim = 3", "target.mean, 2"]),
        ("mean = [[0]]\nstd = 1\n", ["target.mean", "a list of numbers", "brackets"]),
        ("mean = [inf]\nstd = 1\n", ["target.mean[0] = inf", "finite"]),
        ("mean = [0, 0]\nvariances = [1]\n", ["len(target.variances) = 1", "target.mean, 2"]),
        ("mean = [0, 0]\nvariances = [1, -1]\n", ["target.variances", "at least 0"]),
        ("mean = [0, 0]\ncovariance = [[1]]\n", ["target.covariance", "2 x 2 matrix"]),
        ("mean = [0, 0]\ncovariance = [[1, 2], [0, 1]]\n", ["target.covariance", "symmetric"]),
        (
            "mean = [0, 0]\ncovariance = [[1, 2], [2, 1]]\n",
            ["target.covariance", "positive semidefinite", "-1"],
        ),
        ("mean = [0, 0]\ncovariance = [[1], [2, 1]]\n", ["target.covariance", "equally long"]),
    ],
)
def test_gaussians(keys, fragments):
    check_refused(GAUSSIAN + keys + EDM, *fragments)


@pytest.mark.parametrize(
    ("keys", "fragments"),
    [
        ("means = [[0]]\nstds = [1]\n", ["target.weights is missing", "sum to 1"]),
        (PAIRED, ["target.stds is missing", "exactly one of stds, covariances"]),
        (
            "weights = [1.5, -0.5]\nmeans = [[0], [1]]\nstds = [1, 1]\n",
            ["target.weights", "non-negative"],
        ),
        (
            "weights = [0.5, 0.6]\nmeans = [[0], [1]]\nstds = [1, 1]\n",
            ["target.weights", "sums to 1", "1.1", "divide by the sum"],
        ),
        (
            "weights = [0.5, 0.5]\nmeans = [[0]]\nstds = [1, 1]\n",
            ["len(target.means) = 1", "2, one entry for each of target.weights"],
        ),
        (PAIRED + "stds = [1]\n", ["len(target.stds) = 1", "2, one entry"]),
        (PAIRED + "stds = [1, -1]\n", ["target.stds", "at least 0"]),
        (PAIRED + "covariances = [[[1]]]\n", ["len(target.covariances) = 1"]),
        (PAIRED + "covariances = [[[1]], [[-1]]]\n", ["target.covariances[1]", "semidefinite"]),
        (
            PAIRED + "covariances = [[[1, 0], [0, 1]], [[1, 0], [0, 1]]]\n",
            ["target.covariances[0]", "1 x 1 matrix"],
        ),
        ("weights = [0.5, 0.5]\nmeans = [0, 1]\nstds = [1, 1]\n", ["target.means", "lists"]),
    ],
)
def test_mixtures(keys, fragments):
    check_refused(MIXTURE + keys + EDM, *fragments)


@pytest.mark.parametrize(
    ("points", "fragments"),
    [
        ("[]", ["target.points = []", "not empty"]),
        ("[1, 2]", ["target.points = [1, 2]", "a list of lists"]),
        ("[[1], [nan]]", ["target.points[1][0] = nan", "finite"]),
        ('"points.txt"', ["target.points = 'points.txt'", ".npy or .csv"]),
        ('"absent.npy"', ["target.points", "absent.npy", "existing file"]),
        ('"damaged.npy"', ["target.points", "damaged.npy", "readable table"]),
        ('"words.csv"', ["target.points", "words.csv"]),
    ],
)
def test_empirical_points(tmp_path, points, fragments):
    (tmp_path / "damaged.npy").write_bytes(b"not an array")
    (tmp_path / "words.csv").write_text("x,y\n1,two\n")
    text = f'[target]\nkind = "empirical"\npoints = {points}\n' + EDM
    check_refused(text, *fragments, folder=tmp_path)


@pytest.mark.parametrize(
    ("keys", "fragments"),
    [
        ('kind = "scaled"\n', ["score.factor is missing", "a number"]),
        ('kind = "scaled"\nfactor = nan\n', ["score.factor = nan", "finite"]),
        ('kind = "exact"\nfactor = 1\n', ["score.factor = 1", "nothing else"]),
        ('kind = "shifted"\nshift = [1]\n', ["len(score.shift) = 1", "target, 2"]),
        ('kind = "shifted"\nshift = 1\n', ["score.shift = 1", "list of numbers"]),
        ('kind = "affine"\n', ["score.slopes is missing", "one slope per step"]),
        ('kind = "affine"\nslopes = [1]\n', ["len(score.slopes) = 1", "4, one entry per step"]),
        (
            'kind = "affine"\nslopes = [[1], [1], [1], [1]]\n',
            ["shape of score.slopes = (4, 1)", "dimension, 2"],
        ),
        (
            'kind = "affine"\nslopes = [1, 1, 1, 1]\nintercepts = [[1, 1]]\n',
            ["len(score.intercepts) = 1", "4, one entry per step"],
        ),
        (
            'kind = "affine"\nslopes = [1, 1, 1, 1]\nintercepts = [[1], [1], [1], [1]]\n',
            ["shape of score.intercepts = (4, 1)", "dimension, 2"],
        ),
    ],
)
def test_scores(keys, fragments):
    check_refused(PLAIN + EDM + "[score]\n" + keys, *fragments)


def test_long_values_are_shortened():
    sigmas = np.linspace(1, 2, 500).tolist()
    with pytest.raises(ValueError, match="strictly decreasing") as caught:
        parse(schedule(f'kind = "custom"\nsigmas = {sigmas}\n'))
    assert len(str(caught.value)) < 250


def test_the_specification_of_the_contract_is_not_refused():
    assert parse(CONTRACT).target().dim == 1
