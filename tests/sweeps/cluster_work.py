"""What the tests of clusters let workers compute; the workers import it from here."""

import hashlib
import os
import time

import jax
import jax.numpy as jnp
import numpy as np


def digest(manifest, piece):
    """The bytes of a piece, after some time."""
    time.sleep(manifest.get("seconds", 0.0))
    return hashlib.sha256(f"{manifest['name']} {piece}".encode()).digest()


def numbers(manifest, piece):
    """Numbers from a compiled program, which has 64 bits where they are switched on."""
    x = jnp.asarray(manifest["values"]) * (piece + 1)
    return np.asarray(jax.jit(lambda x: jnp.cumsum(jnp.sin(x)) / 3.0)(x)).tobytes()


def gpu(manifest, piece):
    """The GPU that a worker may see."""
    time.sleep(manifest["seconds"])
    return os.environ.get("CUDA_VISIBLE_DEVICES", "").encode()


def failing(manifest, piece):
    """Fails on one piece."""
    if piece == manifest["bad"]:
        raise ZeroDivisionError("a piece that fails")
    return digest(manifest, piece)


def killing(manifest, piece):
    """Ends its own worker on one piece."""
    if piece == manifest["bad"]:
        os._exit(1)
    return digest(manifest, piece)


def version():
    """What a worker has, from its environment."""
    return {"design-space": os.environ.get("CLUSTER_WORK_VERSION", "1.0")}
