"""Measured errors of a design. Never imports bounds."""
