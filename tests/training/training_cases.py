"""Small training problems, and gradient descent on them as a loop in NumPy."""

import jax
import numpy as np

import design_space as ds
from design_space.scores.relu_network import relu_network
from design_space.training.objective import denoising_data

KEY = jax.random.key(7)


def data(points=6, levels=4, dim=2, dtype="float64", seed=0):
    key = jax.random.fold_in(KEY, seed)
    drawn = ds.Gaussian.isotropic(dim, 1.0).sample(key, points)
    schedule = ds.edm(levels, 0.05, 3.0)
    return denoising_data(drawn, schedule, ds.weightings.edm_weighting(), key, dtype)


def network(width=12, depth=2, dim=2, seed=0, dtype="float64"):
    return relu_network(jax.random.fold_in(KEY, 100 + seed), dim, width, depth, dtype)


def networks(count, **sizes):
    keys = jax.random.split(jax.random.fold_in(KEY, 55), count)
    given = {"width": 12, "depth": 2, "dim": 2} | sizes
    return jax.vmap(lambda k: relu_network(k, given["dim"], given["width"], given["depth"]))(keys)


def squares_by_loop(first, hidden, last, data):
    """f_ij, point by point and layer by layer."""
    points, noise, sigmas, beta = (
        np.asarray(a, dtype=np.float64) for a in (data.points, data.noise, data.sigmas, data.beta)
    )
    n, levels, _ = noise.shape
    found = np.empty((n, levels))
    for i in range(n):
        for j in range(levels):
            x = points[i] + sigmas[j] * noise[i, j]
            q = np.maximum(first @ np.append(x, sigmas[j]), 0)
            for matrix in hidden:
                q = np.maximum(matrix @ q, 0)
            r = sigmas[j] * (last @ q) + noise[i, j]
            found[i, j] = beta[j] * r @ r
    return found


def gradients_by_loop(first, hidden, last, data):
    """The gradient in every trained matrix by backpropagation with outer products."""
    points, noise, sigmas, beta = (
        np.asarray(a, dtype=np.float64) for a in (data.points, data.noise, data.sigmas, data.beta)
    )
    n, levels, _ = noise.shape
    total = [np.zeros_like(matrix) for matrix in hidden]
    for i in range(n):
        for j in range(levels):
            x = points[i] + sigmas[j] * noise[i, j]
            outputs = [np.maximum(first @ np.append(x, sigmas[j]), 0)]
            for matrix in hidden:
                outputs.append(np.maximum(matrix @ outputs[-1], 0))
            r = sigmas[j] * (last @ outputs[-1]) + noise[i, j]
            back = last.T @ r * beta[j] * sigmas[j] / n
            for layer in range(len(hidden) - 1, -1, -1):
                back = back * (outputs[layer + 1] > 0)
                total[layer] += np.outer(back, outputs[layer])
                back = hidden[layer].T @ back
    return total


def matrices(network):
    """First, hidden and last matrices in NumPy."""
    return (
        np.asarray(network.first),
        [np.asarray(matrix) for matrix in network.hidden],
        np.asarray(network.last),
    )


def descent_by_loop(network, data, rate, steps):
    """Losses before each of so many steps and after the last, and the matrices then."""
    first, hidden, last = matrices(network)
    losses = []
    for _ in range(steps + 1):
        losses.append(squares_by_loop(first, hidden, last, data).sum() / (2 * len(data.points)))
        gradient = gradients_by_loop(first, hidden, last, data)
        if len(losses) <= steps:
            hidden = [w - rate * g for w, g in zip(hidden, gradient, strict=True)]
    return np.array(losses), hidden
