"""Where numbers came from: versions, device, precision."""

import importlib.metadata
import platform

import jax

_LIBRARIES = ("design-space", "jax", "jaxlib", "equinox", "numpy", "scipy", "pandas", "pyarrow")


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that the numbers depend on."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def device() -> str:
    """Platform and kind of the device that JAX computes on."""
    first = jax.devices()[0]
    return f"{first.platform}: {first.device_kind}"


def dtype() -> str:
    """The precision of JAX's floats."""
    return "float64" if jax.config.read("jax_enable_x64") else "float32"
