"""Where numbers came from: versions, device, precision."""

import functools
import importlib.metadata
import platform
from pathlib import Path

import jax

from design_space.files import digest_of_files

_LIBRARIES = (
    "design-space",
    "jax",
    "jaxlib",
    "equinox",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pot",
)


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that the numbers depend on."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@functools.cache
def source_hash() -> str:
    """Hashes every source file of this package, where it is installed.

    It is computed once per process, as the sources are imported once per process.

    Returns:
      A SHA-256 digest in hexadecimal, the same wherever the package lies.
    """
    folder = Path(__file__).parent
    files = sorted(folder.rglob("*.py"), key=lambda file: file.relative_to(folder).as_posix())
    return digest_of_files({file.relative_to(folder).as_posix(): file for file in files})


def device() -> str:
    """Platform and kind of the device that JAX computes on."""
    first = jax.devices()[0]
    return f"{first.platform}: {first.device_kind}"


def dtype() -> str:
    """The precision of JAX's floats."""
    return "float64" if jax.config.read("jax_enable_x64") else "float32"
