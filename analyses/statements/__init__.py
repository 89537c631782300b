"""The statements of the theory, a few to a module, each with its claims."""
