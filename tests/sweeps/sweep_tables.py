"""Tables of known content, cut into pieces and stored as a sweep."""

import numpy as np
import pyarrow as pa

from design_space.sweeps.pieces import encode
from design_space.sweeps.store import Store


def table(rows, measured=2, start=0, seed=0):
    """`rows` designs on three axes, with columns of random mantissas and one of zeros."""
    design = np.arange(start, start + rows)
    rng = np.random.default_rng(seed + start)
    columns = {
        "design": design,
        "schedule.kind": pa.array(np.array(["song", "edm"])[design % 2]),
        "schedule.rho": 1.0 + design // 4,
        "seed": design % 4,
        "zero": np.zeros(rows),
    }
    for number in range(measured):
        columns[f"measured_{number}"] = np.exp(rng.normal(size=rows))
    return pa.table(columns)


def manifest_of(rows, **specification):
    """The manifest of a sweep whose pieces have these numbers of rows."""
    return {
        "format": 1,
        "package": "0.1.0",
        "source": "0" * 64,
        "specification": {"schedule": {"kind": "edm", "steps": 20}, **specification},
        "rows": sum(rows),
        "pieces": [{"rows": count} for count in rows],
    }


def silent(message):
    raise AssertionError(message)


def stored(folder, cuts, about=None, manifest=None):
    """Stores tables as the pieces of a sweep, and returns its directory."""
    manifest = manifest or manifest_of([cut.num_rows for cut in cuts])
    with Store(folder, manifest, silent) as store:
        for number, cut in enumerate(cuts):
            store.put(number, encode(cut, about or {"piece": number}))
    return folder
