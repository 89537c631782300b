"""Slow twins of the exact quantities: plain mpmath and NumPy, importing nothing of the package.

- precision: the arithmetic (a private mpmath context of sixty digits) and exact inputs.
- gaussian: Gaussian data in their eigenbasis, exact errors of the frozen-score sampler.
- matrices: full matrices, affine scores that do not commute, joint laws of whole paths.
- mixture: mixtures on the line by quadrature at high precision.
- density: the law of the sampler on the line for any smooth score, by brute force in NumPy.
- make_numbers: writes numbers.json, whose every field its docstring explains.
"""
