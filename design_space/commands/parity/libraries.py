"""The libraries that are compared: how each is imported, and what to do if it cannot be.

Nothing here is imported before a row asks for it: torch takes seconds and hundreds of megabytes.
"""

import importlib
import importlib.metadata
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

EXTRA = 'pip install -c constraints.txt -e ".[parity]"'
"""Installs torch, diffusers and what the others need."""

WITHOUT_DEPENDENCIES = "pip install --no-deps -c constraints.txt k-diffusion azula smalldiffusion"
"""Installs the others alone: what they name beyond the extra is not needed for samplers."""


class Library(NamedTuple):
    """One library.

    Attributes:
      name: as it is installed.
      load: imports what the rows need of it.
      remedy: the command that installs it.
    """

    name: str
    load: Callable[[], Any]
    remedy: str

    def version(self) -> str | None:
        """The installed version; None if it is not installed."""
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return None


class _Unused(types.ModuleType):
    """Stands for a module that is imported at the top of another and never used by samplers."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.__name__} is not installed and has no {name}; install it")


def _imports(name: str) -> bool:
    """Whether a module can be imported; a build for other hardware may fail while it starts."""
    try:
        importlib.import_module(name)
    except (ImportError, OSError, RuntimeError):
        return False
    return True


@contextmanager
def _standing_in(*names: str) -> Iterator[None]:
    """Modules of these names, parents first, that are there while others are imported."""
    made = {name: _Unused(name) for name in names}
    before = {name: sys.modules.get(name) for name in names}
    for name, module in made.items():
        module.__path__ = []
        parent, _, child = name.rpartition(".")
        if parent in made:
            setattr(made[parent], child, module)
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _module_of(package: str, module: str) -> Any:
    """A module of a package whose own __init__, which imports far more, is not run."""
    if package not in sys.modules:
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        bare = types.ModuleType(package)
        bare.__path__ = list(spec.submodule_search_locations or [])
        sys.modules[package] = bare
    return importlib.import_module(f"{package}.{module}")


_VISION = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
"""What a module of k-diffusion beside its samplers imports; no build of it runs everywhere."""


def _k_diffusion() -> Any:
    torch = importlib.import_module("torch")
    if _imports("torchvision"):
        return SimpleNamespace(torch=torch, sampling=_module_of("k_diffusion", "sampling"))
    with _standing_in(*_VISION):
        return SimpleNamespace(torch=torch, sampling=_module_of("k_diffusion", "sampling"))


def _diffusers() -> Any:
    schedulers = importlib.import_module("diffusers.schedulers")
    return SimpleNamespace(torch=importlib.import_module("torch"), schedulers=schedulers)


def _azula() -> Any:
    modules = {part: importlib.import_module(f"azula.{part}") for part in ("noise", "sample")}
    posterior = importlib.import_module("azula.denoise").DiracPosterior
    torch = importlib.import_module("torch")
    return SimpleNamespace(torch=torch, posterior=posterior, **modules)


def _smalldiffusion() -> Any:
    torch = importlib.import_module("torch")
    return SimpleNamespace(torch=torch, diffusion=_module_of("smalldiffusion", "diffusion"))


K_DIFFUSION = Library("k-diffusion", _k_diffusion, WITHOUT_DEPENDENCIES)
DIFFUSERS = Library("diffusers", _diffusers, EXTRA)
AZULA = Library("azula", _azula, WITHOUT_DEPENDENCIES)
SMALLDIFFUSION = Library("smalldiffusion", _smalldiffusion, WITHOUT_DEPENDENCIES)


def loaded(library: Library) -> tuple[Any, str]:
    """The modules of a library, or why there are none.

    Args:
      library: which one.

    Returns:
      The modules and "", or None and what to do.
    """
    if library.version() is None:
        return None, f"not installed: {library.remedy}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs, about their own dependencies
            return library.load(), ""
    except ImportError as error:
        return None, f"{error}: {EXTRA}, then {WITHOUT_DEPENDENCIES}"


@contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """A name of a module stands for another value; for functions that draw their own noise.

    Args:
      module: the module.
      name: the name.
      value: what it stands for meanwhile.
    """
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
