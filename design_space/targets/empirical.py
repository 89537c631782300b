"""The empirical law of data points."""

from pathlib import Path
from typing import Any, ClassVar, final

import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, float64
from design_space.targets.components import Components
from design_space.targets.mixture import AbstractMixture


@final
class Empirical(AbstractMixture):
    """(1/n) sum_i delta_{x_i}: p_v is the kernel density estimate of bandwidth sqrt(v).

    Args:
      points: x_i, shape [points, dim].

    Raises:
      ValueError: if the points are not a table of finite numbers, or there are none.
    """

    kind: ClassVar[str] = "empirical"
    points: Float[Array, "points dim"]

    def __init__(self, points: Any):
        self.points = float64(checks.nonempty("points", points, 2))

    @staticmethod
    def from_file(path: str | Path) -> "Empirical":
        """Reads points from an `.npy` array or a `.csv` table, one row per point.

        A CSV file may begin with a line of column names, and `#` starts a comment. An array of rank
        one counts as n points in one dimension.

        Args:
          path: the file.

        Returns:
          The empirical law.

        Raises:
          ValueError: if the file is missing, of another kind, damaged, or holds other than finite
            numbers.
        """
        path = Path(path)
        if path.suffix not in (".npy", ".csv"):
            raise checks.refusal("points", str(path), "an .npy or .csv file", "convert the file")
        if not path.is_file():
            raise checks.refusal("points", str(path), "an existing file", "check the path")
        try:
            table = _read_npy(path) if path.suffix == ".npy" else _read_csv(path)
            return Empirical(table[:, None] if table.ndim == 1 else table)
        except (OSError, ValueError, EOFError) as error:
            raise checks.refusal(
                "points", str(path), f"a readable table of numbers ({error})", "check the file"
            ) from error

    def components(self) -> Components:
        """One Dirac component per point."""
        n = self.points.shape[0]
        return Components(jnp.full(n, -np.log(n)), self.points, jnp.zeros_like(self.points))


def _read_npy(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, allow_pickle=False))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_csv(path: Path) -> np.ndarray:
    text = path.read_text(encoding="utf-8-sig")  # spreadsheets begin a file with a mark
    lines = [line for line in text.splitlines() if line.split("#")[0].strip()]
    if lines and not any(_is_number(cell) for cell in lines[0].split(",")):
        lines = lines[1:]  # column names
    if not lines:
        raise ValueError("no rows")
    return np.loadtxt(lines, delimiter=",", ndmin=2)
