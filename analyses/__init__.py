"""Experiments: each turns settings into a table."""
