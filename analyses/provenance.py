"""The provenance of one computed piece."""

import datetime
from collections.abc import Mapping
from typing import Any

from design_space.provenance import device, dtype, versions


def provenance(settings: Mapping[str, Any], source: str, seconds: float) -> dict[str, Any]:
    """Describes one computed piece, as plain data.

    Args:
      settings: the piece's settings; their "seed", if any, is repeated at the top.
      source: hash of the source files that computed it.
      seconds: wall-clock time it took, in seconds.

    Returns:
      A mapping with settings, seed, source, versions, device, dtype, time (UTC) and seconds.
    """
    return {
        "settings": dict(settings),
        "seed": settings.get("seed"),
        "source": source,
        "versions": versions(),
        "device": device(),
        "dtype": dtype(),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
    }
