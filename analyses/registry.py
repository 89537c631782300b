"""Every experiment by name, in the order of the report."""

from analyses import bell_weighting, error_budget, rho_scan, schedule_comparison
from analyses.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (schedule_comparison, error_budget, bell_weighting, rho_scan)
}
