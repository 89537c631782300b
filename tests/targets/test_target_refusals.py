"""What targets refuse, with the message of each refusal, and what files they read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

NAN, INF = float("nan"), float("inf")
HALF = [0.5, 0.5]
TWO = [[-1.0], [1.0]]
EYES = [[[1.0]], [[1.0]]]
BAD = {
    "gaussian mean rank": (lambda: Gaussian(0.0, [[1.0]]), r"mean = 0\.0: .* rank 1, not 0"),
    "gaussian mean empty": (lambda: Gaussian([], []), r"mean = .*: must be an array with entries"),
    "gaussian mean nan": (lambda: Gaussian([NAN], [[1.0]]), r"mean = \[nan\]: must be finite"),
    "gaussian mean text": (lambda: Gaussian(["1"], [[1.0]]), r"mean = \['1'\]: .*array of numbers"),
    "covariance inf": (
        lambda: Gaussian([0.0], [[INF]]),
        r"covariance = \[\[inf\]\]: must be finite",
    ),
    "covariance rank": (lambda: Gaussian([0.0], [1.0]), r"covariance = .* rank 2, not 1"),
    "covariance shape": (
        lambda: Gaussian([0.0, 0.0], [[1.0]]),
        r"covariance = .*: must be a 2 x 2 matrix; match the dimension of the mean",
    ),
    "covariance symmetry": (
        lambda: Gaussian([0.0, 0.0], [[1.0, 0.5], [0.4, 1.0]]),
        r"covariance = .*: must be symmetric; replace it by \(A \+ A\^T\)/2 if that is meant",
    ),
    "covariance definite": (
        lambda: Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]),
        r"covariance = .*: must be positive semidefinite; its least eigenvalue is -1; check it",
    ),
    "diagonal lengths": (
        lambda: Gaussian.diagonal([0.0], [1.0, 1.0]),
        r"len\(variances\) = 2: must be the dimension of mean, 1; make them agree",
    ),
    "diagonal sign": (
        lambda: Gaussian.diagonal([0.0], [-1.0]),
        r"variances = \[-1\.0\]: must be at least 0; check the signs",
    ),
    "diagonal empty": (lambda: Gaussian.diagonal([], []), r"mean = .*: must be an array with"),
    "isotropic dim": (
        lambda: Gaussian.isotropic(0, 1.0),
        r"dim = 0: must be a whole number of at least 1; give an integer",
    ),
    "isotropic std": (
        lambda: Gaussian.isotropic(1, -1.0),
        r"std = -1\.0: must be at least 0; give a number that is not negative",
    ),
    "isotropic mean": (
        lambda: Gaussian.isotropic(2, 1.0, mean=[0.0]),
        r"len\(mean\) = 1: must be the dimension of dim, 2; make them agree",
    ),
    "dirac": (lambda: Gaussian.dirac([INF]), r"point = \[inf\]: must be finite"),
    "weights sign": (
        lambda: GaussianMixture([1.5, -0.5], TWO, EYES),
        r"weights = .*: must be non-negative, with one entry per component; check the signs",
    ),
    "weights sum": (
        lambda: GaussianMixture([0.5, 0.6], TWO, EYES),
        r"weights = .*: must be a vector that sums to 1, not 1\.1; divide by the sum",
    ),
    "weights nan": (lambda: GaussianMixture([NAN, 1], TWO, EYES), r"weights = .*: must be finite"),
    "weights empty": (
        lambda: GaussianMixture([], TWO, EYES),
        r"weights = .*: must be non-negative",
    ),
    "means number": (
        lambda: GaussianMixture(HALF, [[0.0]], EYES),
        r"len\(means\) = 1: must be the dimension of weights, 2; make them agree",
    ),
    "means rank": (
        lambda: GaussianMixture(HALF, [0.0, 1.0], EYES),
        r"means = \[0\.0, 1\.0\]: must be an array of rank 2, not 1; check the brackets",
    ),
    "means empty": (lambda: GaussianMixture([1], [[]], EYES), r"means = .*array with entries"),
    "covariances number": (
        lambda: GaussianMixture(HALF, TWO, EYES[:1]),
        r"len\(covariances\) = 1: must be the dimension of weights, 2; make them agree",
    ),
    "covariances shape": (
        lambda: GaussianMixture(HALF, [[0.0, 0.0], [1.0, 0.0]], EYES),
        r"covariances\[0\] = .*: must be a 2 x 2 matrix; match the dimension of the mean",
    ),
    "covariances definite": (
        lambda: GaussianMixture(HALF, TWO, [[[1.0]], [[-1.0]]]),
        r"covariances\[1\] = .*: must be positive semidefinite; its least eigenvalue is -1",
    ),
    "covariances symmetry": (
        lambda: GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, 0.2], [0.1, 1.0]]]),
        r"covariances\[0\] = .*: must be symmetric",
    ),
    "stds sign": (
        lambda: GaussianMixture.isotropic(HALF, TWO, [1.0, -1.0]),
        r"stds = .*: must be at least 0; give standard deviations, not signed",
    ),
    "stds number": (
        lambda: GaussianMixture.isotropic(HALF, TWO, [1.0, 1.0, 1.0]),
        r"len\(stds\) = 3: must be the dimension of weights, 2; make them agree",
    ),
    "variances sign": (
        lambda: GaussianMixture.diagonal(HALF, TWO, [[1.0], [-1.0]]),
        r"variances = .*: must be at least 0; check the signs",
    ),
    "variances shape": (
        lambda: GaussianMixture.diagonal(HALF, TWO, [[1.0, 1.0], [1.0, 1.0]]),
        r"variances\.shape = \(2, 2\): must be that of means, \(2, 1\); match them",
    ),
    "points rank": (
        lambda: Empirical([1.0, 2.0]),
        r"points = .*: must be an array of rank 2, not 1",
    ),
    "points empty": (lambda: Empirical(np.zeros((0, 2))), r"points = .*: must be an array with"),
    "points nan": (lambda: Empirical([[NAN]]), r"points = \[\[nan\]\]: must be finite; remove"),
    "points ragged": (lambda: Empirical([[1.0], [1.0, 2.0]]), r"points = .*an array of numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name):
    make, message = BAD[name]
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "target",
    [Gaussian.diagonal([0.0, 0.0], [1.0, 0.0]), Empirical([[0.0, 1.0]])],
    ids=["gaussian", "empirical"],
)
def test_levels_without_a_density_are_refused(target):
    singular = r"variance = 0\.0: must be above 0 for a singular law; add noise: p_0 has no density"
    negative = r"variance = -1\.0: must be at least 0"
    point = jnp.zeros(2)
    for name in ("log_density", "score", "denoiser", "posterior_covariance", "hessian"):
        with pytest.raises(ValueError, match=singular):
            getattr(target, name)(point, 0.0)
        with pytest.raises(ValueError, match=negative):
            getattr(target, name)(point, -1.0)
    for name in ("entropy", "mmse", "fisher_information", "fisher_information_slope"):
        with pytest.raises(ValueError, match=singular):
            getattr(target, name)(0.0)


def test_diagonal_mixtures_are_full_ones():
    means, variances = np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([[0.5, 2.0], [0.0, 1.0]])
    one = GaussianMixture.diagonal(HALF, means, variances)
    other = GaussianMixture(HALF, means, [np.diag(v) for v in variances])
    np.testing.assert_array_equal(one.covariance(), other.covariance())
    np.testing.assert_array_equal(one.weights, HALF)


def test_samples_are_refused():
    target, key = Gaussian.dirac([0.0]), jax.random.key(0)
    with pytest.raises(ValueError, match="count = 0: must be a whole number of at least 1"):
        target.sample(key, 0)
    with pytest.raises(ValueError, match=r"variance = -1\.0: must be at least 0"):
        target.sample(key, 1, -1.0)


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        np.save(path, content, allow_pickle=True)
    return path


@pytest.mark.parametrize(
    ("name", "content", "points"),
    [
        ("a.npy", np.array([[1, 2], [3, 4]]), [[1.0, 2.0], [3.0, 4.0]]),
        ("a.npy", np.array([1.5, 2.5], np.float32), [[1.5], [2.5]]),
        ("a.csv", "1,2\n3,4\n", [[1.0, 2.0], [3.0, 4.0]]),
        ("a.csv", "x,y\n1,2\n\n3,4", [[1.0, 2.0], [3.0, 4.0]]),
        ("a.csv", '"first x"\n1e-3\n-2\n', [[0.001], [-2.0]]),
        ("a.csv", "# from the lab\nx, y\n1, 2 # a remark\n", [[1.0, 2.0]]),
        ("a.csv", "\ufeff1.0\r\n2.0\r\n", [[1.0], [2.0]]),
        ("a.csv", "\ufeffx\r\n2.0\r\n", [[2.0]]),
        ("a.csv", "7", [[7.0]]),
    ],
)
def test_files_are_read(tmp_path, name, content, points):
    target = Empirical.from_file(write(tmp_path / name, content))
    np.testing.assert_array_equal(target.points, points)
    again = Empirical.from_file(str(tmp_path / name))
    np.testing.assert_array_equal(again.points, points)


READABLE = r"points = '.*a\.{}': must be a readable table of numbers \(.*\); check the file"


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        ("npy", b""),
        ("npy", b"not an array at all"),
        ("npy", np.array([["x", "y"]])),
        ("npy", np.array([[1.0, NAN]])),
        ("npy", np.array([[1.0 + 1j]])),
        ("npy", np.array(3.0)),
        ("npy", np.zeros((2, 2, 2))),
        ("npy", np.zeros((0, 2))),
        ("npy", np.array([[{}]], dtype=object)),
        ("csv", ""),
        ("csv", "x,y\n"),
        ("csv", "x\n# nothing else\n"),
        ("csv", "1,2\n3\n"),
        ("csv", "1,2\n3,four\n"),
        ("csv", "1,,2\n"),
        ("csv", "1;2\n3;4\n"),
        ("csv", "1,nan\n"),
        ("csv", "x,y\nu,v\n1,2\n"),
        ("csv", b"\xff\xfe\x00"),
    ],
)
def test_damaged_files_are_refused(tmp_path, ending, content):
    path = write(tmp_path / f"a.{ending}", content)
    with pytest.raises(ValueError, match=READABLE.format(ending)) as caught:
        Empirical.from_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [40, 100, 130, 200])
def test_a_cut_array_is_refused(tmp_path, kept):
    path = write(tmp_path / "a.npy", np.ones((100, 2)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=READABLE.format("npy")):
        Empirical.from_file(path)


def test_missing_files_and_other_kinds_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"points = '.*b\.npy': must be an existing file; check"):
        Empirical.from_file(tmp_path / "b.npy")
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(ValueError, match="must be an existing file; check the path"):
        Empirical.from_file(tmp_path / "c.csv")
    for name in ("d.txt", "d", "d.npz", "d.CSV"):
        with pytest.raises(ValueError, match=r"must be an \.npy or \.csv file; convert the file"):
            Empirical.from_file(write(tmp_path / name, "1,2"))
