"""Training: denoising score matching under gradient descent, and its exactly solvable cases."""
