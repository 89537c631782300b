"""Right-hand sides of the theory. Never imports errors."""
