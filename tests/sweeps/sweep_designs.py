"""Small sweeps: planned and computed in this process."""

import io
import tomllib

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from design_space.sweeps.content import compute
from design_space.sweeps.plan import plan

TARGET = '[target]\nkind = "gaussian"\nmean = [0.1, -0.3]\nvariances = [0.25, 4.0]\n'
SCHEDULE = '[schedule]\nkind = "edm"\nsteps = 4\n'
GAUSSIAN = TARGET + SCHEDULE
MIXTURE = (
    '[target]\nkind = "mixture"\nweights = [0.5, 0.5]\nmeans = [[-1.0], [1.0]]\n'
    "stds = [0.1, 0.1]\n" + SCHEDULE
)
TRAINED = (
    '[target]\nkind = "gaussian"\ndim = 1\nstd = 0.5\n[schedule]\nkind = "edm"\nsteps = 2\n'
    '[score]\nkind = "trained"\n[weighting]\nkind = "edm"\n[model]\nkind = "affine"\n'
    "[training]\nsamples = 10\nsteps = 50\n"
)


def given(text, axes=""):
    """The sections of a specification with a [sweep] table."""
    return tomllib.loads(f"{text}[sweep]\n{axes}\n")


def planned(text, axes, piece=64, **settings):
    """The manifest."""
    return plan(given(text, axes), ".", piece=piece, **settings)


def tables(manifest, order=None):
    """The tables of all pieces, computed in the given order."""
    order = range(len(manifest["pieces"])) if order is None else order
    found = {number: pq.read_table(io.BytesIO(compute(manifest, number))) for number in order}
    return [found[number] for number in sorted(found)]


def whole(manifest, order=None):
    """The whole table in the order of "design"."""
    table = pa.concat_tables(tables(manifest, order)).replace_schema_metadata()
    return table.sort_by("design") if manifest["rows"] == manifest["designs"] else table


def frame(manifest) -> pd.DataFrame:
    """The whole table for pandas."""
    return whole(manifest).to_pandas()
