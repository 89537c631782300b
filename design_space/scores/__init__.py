"""Score functions: maps from a point and a noise level to a gradient of log density."""
