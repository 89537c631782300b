"""Checkpoints of a training run: arrays with the settings they belong to, written atomically."""

import hashlib
import io
import json
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from design_space.checks import refusal

_SETTINGS = "settings"


def digest(tree: Any) -> str:
    """A hash of the arrays of a pytree: shapes, number types and values.

    Args:
      tree: a pytree of arrays.
    """
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def structure(tree: Any) -> str:
    """A hash of what a pytree is apart from its arrays: its classes and their fixed fields.

    Args:
      tree: a pytree.
    """
    return _text_digest(str(jax.tree.structure(tree)))


def rule_digest(transform: Callable[[Any], Any], weights: Any) -> str:
    """A hash of what an update rule computes, whatever it is called and wherever it lies.

    Args:
      transform: makes optax's update rule from a learning rate.
      weights: what is trained.
    """

    def rule(rate: Any, gradient: Any, state: Any, weights: Any) -> Any:
        made = transform(rate)
        return made.init(weights), made.update(gradient, state, weights)

    rate = jax.ShapeDtypeStruct((), jax.tree.leaves(weights)[0].dtype)
    weights = jax.eval_shape(lambda w: w, weights)
    state = jax.eval_shape(lambda h, w: transform(h).init(w), rate, weights)
    program = jax.make_jaxpr(rule)(rate, weights, state, weights)
    return _text_digest(f"{program.jaxpr} {digest(program.consts)}")


def _text_digest(text: str) -> str:
    """A hash of a text without the addresses in it, which differ from process to process."""
    return hashlib.sha256(re.sub(r"0x[0-9a-f]+", "", text).encode()).hexdigest()[:16]


def save(path: Path, settings: Mapping[str, Any], tree: Any) -> None:
    """Writes a checkpoint; a reader sees the old file or the new one, never a part.

    Args:
      path: the file.
      settings: what the run depends on, as plain data.
      tree: a pytree of arrays.
    """
    arrays: dict[str, Any] = {
        f"{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))
    }
    arrays[_SETTINGS] = np.frombuffer(json.dumps(dict(settings)).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with draft.open("wb") as file:
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load(path: Path, settings: Mapping[str, Any], like: Any) -> Any:
    """Reads a checkpoint back.

    Args:
      path: the file.
      settings: what the run now depends on.
      like: a pytree of the structure that was saved.

    Returns:
      The pytree; None if there is no file, or a damaged one, which is set aside as NAME.damaged
      with a warning.

    Raises:
      ValueError: if the checkpoint belongs to other settings; the message names each difference.
        If there is a folder in its place.
    """
    if path.is_dir():
        remedy = "name a file in it, such as run.npz"
        raise refusal("checkpoint", str(path), "a file, not a folder", remedy)
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            old = json.loads(found[_SETTINGS].tobytes())
            arrays = [found[f"{i}"] for i in range(len(found.files) - 1)]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        aside = path.with_name(path.name + ".damaged")
        path.replace(aside)
        warnings.warn(f"{path} is damaged: set aside as {aside.name}, starting anew", stacklevel=2)
        return None
    _same(path, old, dict(settings))
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(a) for a in arrays])


def _same(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuses a checkpoint of another run."""
    new = json.loads(json.dumps(dict(new)))
    off = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if off:
        said = "; ".join(f"{key} was {old.get(key)}, is {new.get(key)}" for key in off)
        raise ValueError(
            f"checkpoint = {str(path)!r}: must be of the same run, but {said}; "
            "give the old settings back, or name another file to start anew"
        )
