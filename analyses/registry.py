"""Every experiment by name, in the order of the report."""

from analyses import (
    bell_weighting,
    bound_over_exact,
    counterexamples,
    design_rules,
    error_budget,
    full_error,
    inverse_bell,
    kernel_limit,
    ledger,
    optimal_schedules,
    phase_diagram,
    rate_exponents,
    rho_scan,
    sample_size,
    scaling,
    schedule_comparison,
    solvable_training,
    training_convergence,
    weighting_race,
    weighting_times_schedule,
)
from analyses.experiment import Experiment

_MODULES = (
    schedule_comparison,
    error_budget,
    bell_weighting,
    rho_scan,
    ledger,
    counterexamples,
    bound_over_exact,
    design_rules,
    training_convergence,
    weighting_race,
    inverse_bell,
    solvable_training,
    kernel_limit,
    rate_exponents,
    phase_diagram,
    full_error,
    sample_size,
    optimal_schedules,
    weighting_times_schedule,
    scaling,
)

EXPERIMENTS: dict[str, Experiment] = {m.EXPERIMENT.name: m.EXPERIMENT for m in _MODULES}
