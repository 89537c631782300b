"""Every experiment by name, in the order of the report."""

from analyses import bell_weighting
from analyses.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT for module in (bell_weighting,)
}
