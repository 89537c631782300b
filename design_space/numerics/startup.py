"""How a process of ours starts JAX: 64-bit floats, and compiled code kept for the next start."""

import os
from pathlib import Path

import jax


def prepare_jax() -> None:
    """Switches JAX to 64-bit floats, and keeps what it compiles for the next start.

    The command line and the workers of a sweep call it; the library never does.
    """
    jax.config.update("jax_enable_x64", True)
    cache = compilation_cache()
    if cache is not None and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def compilation_cache() -> Path | None:
    """Where compiled code is kept: the user's cache folder, or nowhere.

    DESIGN_SPACE_CACHE names another folder, or is "off". JAX's own JAX_COMPILATION_CACHE_DIR goes
    first. A folder that cannot be written is not used.

    Returns:
      The folder, which exists, or None.
    """
    chosen = os.environ.get("DESIGN_SPACE_CACHE")
    if chosen == "off":
        return None
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(chosen) if chosen else user / "design-space" / "jax"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return cache if os.access(cache, os.W_OK) else None
