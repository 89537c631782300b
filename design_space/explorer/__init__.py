"""What the interactive explorer computes: a state of its controls in, numbers and arrays out."""
