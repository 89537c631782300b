"""Pictures: each module draws one figure from a table. Imports neither jax nor design_space."""
