"""Spectra of data covariances in growing dimension: directions that count alike, less and less, or
not at all.
"""

from collections.abc import Callable, Mapping

import numpy as np

PIXEL = 0.25
"""Variance of a coordinate of isotropic data and of a pixel: EDM's sigma_data = 0.5, squared."""

RANK = 16
"""Dimension of the subspace that low-dimensional data fill."""

COLORS = (0.9, 0.07, 0.03)
"""Shares of the variance of an image-like law in brightness and in two colors."""


def isotropic(dim: int) -> np.ndarray:
    """Eigenvalues 1/4, all of them."""
    return np.full(dim, PIXEL)


def decaying(dim: int) -> np.ndarray:
    """Eigenvalues i^-2: the leading variance is fixed, so that the laws are nested.

    The law in d dimensions is that of the first d coordinates in any larger dimension: a new
    direction changes nothing in the others. With a fixed total it would rescale them all, and
    dimension and scale of the data would change at once.
    """
    return np.arange(1.0, dim + 1) ** -2


def image_like(dim: int) -> np.ndarray:
    """Eigenvalues like those of color images of n x n pixels, d = 3 n^2: power 1/(1 + f^2).

    f^2 = k_1^2 + k_2^2 over the frequencies k = 0, ..., n - 1 of each axis, for each of `COLORS`;
    the variance of a pixel is fixed, 1/4, so that the total is d/4.

    Raises:
      ValueError: if the dimension is not 3 n^2.
    """
    side = round((dim / 3) ** 0.5)
    if 3 * side**2 != dim:
        raise ValueError(f"dim = {dim}: must be 3 n^2, a color image; take 3, 12, 48, ...")
    k = np.arange(side)
    power = np.ravel(1 / (1 + k[:, None] ** 2 + k[None, :] ** 2))
    values = np.ravel(np.multiply.outer(COLORS, power))
    return np.sort(PIXEL * dim * values / values.sum())[::-1]


def subspace(dim: int) -> np.ndarray:
    """Eigenvalues 1 in the first 16 directions and 0 in the others."""
    return (np.arange(dim) < RANK).astype(float)


SPECTRA: Mapping[str, Callable[[int], np.ndarray]] = {
    "isotropic": isotropic,
    "decaying": decaying,
    "image-like": image_like,
    "subspace": subspace,
}
"""Eigenvalues by the name of the law, for a dimension."""
