"""Pure mathematics: quadrature, linear algebra, divergences, intervals. No diffusion words."""
