"""The lessons: where their pages lie, what a page consists of, a page as a plain script."""
