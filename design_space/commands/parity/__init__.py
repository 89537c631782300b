"""Parity: grids and samplers beside the public implementations of other authors."""
