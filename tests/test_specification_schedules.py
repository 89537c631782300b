"""Published and optimal schedules in specifications."""

import numpy as np
import pytest
from specifications import PLAIN, parse

from design_space.optimal.marginal import marginal_optimal
from design_space.optimal.score_optimal import score_optimal
from design_space.optimal.tangent import tangent
from design_space.schedules.published import TABLES, align_your_steps, beta_quantiles
from design_space.targets.gaussian import Gaussian

TARGET = Gaussian.isotropic(2, 0.5)  # the one of PLAIN


def levels(keys):
    return np.asarray(parse(PLAIN + "[schedule]\n" + keys).schedule().backward_sigmas)


@pytest.mark.parametrize(
    ("keys", "build"),
    [
        ('kind = "tangent"\ndata_std = 0.5\nsteps = 5', lambda: tangent(0.5, 5)),
        ('kind = "beta"\nsteps = 5', lambda: beta_quantiles(5)),
        (
            'kind = "beta"\nsteps = 5\nalpha = 1\nbeta = 2\nmap = "sigma"\nsigma_max = 9',
            lambda: beta_quantiles(5, 0.002, 9.0, alpha=1.0, beta=2.0, map="sigma"),
        ),
        (
            'kind = "align-your-steps"\nsteps = 7\ntable = "svd"\nsigma_min = 0.1\nsigma_max = 9',
            lambda: align_your_steps(7, "svd", 0.1, 9.0),
        ),
        ('kind = "marginal-optimal"\nsteps = 3', lambda: marginal_optimal(TARGET, 3)),
        ('kind = "score-optimal"\nsteps = 5', lambda: score_optimal(TARGET, 5)),
        (
            'kind = "score-optimal"\nsteps = 5\nvelocity = 0',
            lambda: score_optimal(TARGET, 5, velocity=0.0),
        ),
    ],
)
def test_the_schedule_is_that_of_the_function(keys, build):
    np.testing.assert_array_equal(levels(keys), build().backward_sigmas)


def test_a_table_keeps_its_own_ends():
    found = levels('kind = "align-your-steps"\nsteps = 10')
    np.testing.assert_allclose(found, TABLES["sd15"], rtol=1e-14)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('kind = "tangent"\nsteps = 5', "schedule.data_std is missing: must be above 0"),
        ('kind = "beta"\nsteps = 5\nalpha = 0', "schedule.alpha = 0.0: must be above 0"),
        ('kind = "beta"\nsteps = 5\nmap = "vp2"', "schedule.map = 'vp2': must be one of sigma, vp"),
        ('kind = "align-your-steps"\nsteps = 5\ntable = "sd3"', "schedule.table = 'sd3'"),
        ('kind = "align-your-steps"\nsteps = 5\nsigma_min = 1', "schedule.sigma_max is missing"),
        (
            'kind = "align-your-steps"\nsteps = 5\nsigma_min = 2\nsigma_max = 1',
            "schedule.sigma_min = 2.0: must be below schedule.sigma_max",
        ),
        ('kind = "tangent"\ndata_std = 1\nsteps = 5\nrho = 7', "schedule.rho = 7"),
    ],
)
def test_bad_input_is_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        parse(PLAIN + "[schedule]\n" + keys)
