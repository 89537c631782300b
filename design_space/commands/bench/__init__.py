"""The benchmark table of this machine: every task beside its floor, both measured in one run."""
