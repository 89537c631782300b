"""Weightings of the training loss, in one canonical form: the total weighting beta_j.

The denoising score matching loss of a design is

  (1/2) sum_{j=1}^N beta_j E|sigma_j S(X_j, sigma_j) + xi|^2,   X_j = X_0 + sigma_j xi,

over the forward levels j = 1, ..., N of its schedule (t_0 is not a level). Every other convention
is converted to and from beta_j here, by name. Weightings that are a density name its measure, and
beta_j then includes the increment of that measure from level j - 1 to level j; read without the
increment they are called pointwise.
"""

from design_space.weightings.base import (
    AbstractWeighting,
    CustomWeighting,
    DensityWeighting,
    PointwiseWeighting,
    TimeWeighting,
)
from design_space.weightings.conversions import (
    from_edm,
    from_snr_weight,
    from_w_corrected,
    from_w_printed,
    to_edm,
    to_snr_weight,
    to_w_corrected,
    to_w_printed,
)
from design_space.weightings.named import edm_weighting, min_snr, p2, song, uniform

__all__ = [
    "AbstractWeighting",
    "CustomWeighting",
    "DensityWeighting",
    "PointwiseWeighting",
    "TimeWeighting",
    "edm_weighting",
    "from_edm",
    "from_snr_weight",
    "from_w_corrected",
    "from_w_printed",
    "min_snr",
    "p2",
    "song",
    "to_edm",
    "to_snr_weight",
    "to_w_corrected",
    "to_w_printed",
    "uniform",
]
