"""Test set-up: float64, strict rank promotion, and shapes checked by beartype."""

import os

from jaxtyping import install_import_hook

os.environ["DESIGN_SPACE_CACHE"] = "off"  # tests compile for themselves

_hook = install_import_hook(["design_space"], "beartype.beartype")
_hook.__enter__()  # before the first import of the package, for the whole session

import jax  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

settings.register_profile(
    "house",
    deadline=None,  # the first example compiles
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")
