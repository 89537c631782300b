"""Lemma 9: what a step of the sampler costs in KL, bounded by the mismatch of the scores.

Source: Lemma 9 of arXiv 2406.12839.
"""

from design_space.arrays import Array, Float, Scalar, float64


def lemma_9(diffusion: Scalar, mismatch: Scalar) -> Float[Array, ""]:
    """The printed bound on E KL over a step followed for a time t: (1/2) sigma^2 E|s - L_t|^2.

    It cannot hold: the left side is in nats, the right side in nats per time.

    Args:
      diffusion: sigma_{T-t}^2, in squared data units per time.
      mismatch: E|s - L_t|^2 with s frozen at the beginning of the step, in inverse squared data
        units.

    Source: Lemma 9 of arXiv 2406.12839.
    """
    return 0.5 * float64(diffusion) * mismatch


def lemma_9_corrected(diffusion: Scalar, mismatch: Scalar) -> Float[Array, ""]:
    """The rate d/dt E KL = sigma_{T-t}^2 E|s - L_t|^2, an equality at every t inside the step.

    Args, Source: as for `lemma_9`, corrected.

    Returns:
      The rate, in nats per time.
    """
    return float64(diffusion) * mismatch
