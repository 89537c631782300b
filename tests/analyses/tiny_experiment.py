"""A small slow experiment, for tests of the store; run as a script, it runs itself."""

import sys
import time
from pathlib import Path

import pandas as pd

from analyses.experiment import Experiment


def tiny(calls=None, pieces=4, pause=0.0, file=Path(__file__), name="tiny"):
    """Squares of small numbers, one piece each; `calls` collects what was computed."""

    def compute(piece):
        time.sleep(pause)
        if calls is not None:
            calls.append(piece["number"])
        number = piece["number"]
        return pd.DataFrame({"number": [number], "third": [number / 3], "word": [f"n{number}"]})

    return Experiment(
        name=name,
        title="Squares",
        file=file,
        presets={"quick": {"count": pieces}, "full": {"count": pieces + 1}},
        pieces=lambda settings: [{"number": i} for i in range(settings["count"])],
        compute=compute,
        finding=lambda table: f"The thirds sum to {table['third'].sum():.3f}.",
    )


if __name__ == "__main__":
    from analyses.store import run

    run(
        tiny(pause=float(sys.argv[2])),
        "quick",
        Path(sys.argv[1]),
        advance=lambda done, total: print(done, flush=True),
    )
