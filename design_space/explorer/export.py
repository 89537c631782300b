"""The numbers of a state as a table, for a download."""

import numpy as np
import pandas as pd

from design_space.explorer.numbers import Numbers


def table(numbers: Numbers) -> pd.DataFrame:
    """One row per state of the sampler, from the largest noise to the least.

    Args:
      numbers: of one state.

    Returns:
      Columns: `step` (how many steps have been taken, 0 to N), `sigma`, `variance`, then what the
      step that leads to this row added to the errors, `discretization` and `score` (nats, NaN in
      row 0 and where it cannot be had), and mean and standard deviation of the sampler's law and of
      the exact law in this row (data units).
    """
    sigmas, laws = numbers.backward_sigmas, numbers.laws
    before = np.array([np.nan])
    return pd.DataFrame(
        {
            "step": np.arange(len(sigmas)),
            "sigma": sigmas,
            "variance": sigmas**2,
            "discretization": np.concatenate([before, numbers.discretization_steps]),
            "score": np.concatenate([before, numbers.score_steps]),
            "sampler_mean": laws.means,
            "sampler_std": laws.stds,
            "exact_mean": np.full(len(sigmas), laws.exact_mean),
            "exact_std": laws.exact_stds,
        }
    )
