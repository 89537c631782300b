"""The sampler: steps, and the laws that they lead to."""
