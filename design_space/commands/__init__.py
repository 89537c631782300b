"""What the console script does, one module per command."""
