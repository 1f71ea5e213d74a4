"""A smooth curve, with its uncertainty, through the noisy values of few trials.

Gaussian process regression (Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006,
algorithm 2.1) with a Matern 5/2 kernel, one length per setting and a noise term; all are chosen
by the marginal likelihood. Cited from memory; the tests compare with the closed form.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]


class Surrogate:
    """Mean and standard deviation of the noise-free value anywhere in the unit cube.

    Args:
        points: (trials, settings), scaled to 0..1.
        values: (trials,), in any unit.
    """

    def __init__(self, points: Floats, values: Floats) -> None:
        self.points = np.asarray(points, float)
        self.shift, self.scale = float(np.mean(values)), float(np.std(values)) or 1.0
        self.values = (np.asarray(values, float) - self.shift) / self.scale
        dimensions = self.points.shape[1]
        low, high = np.log(0.1), np.log(10.0)
        bounds = [(low, high)] * dimensions + [(np.log(0.05), np.log(20.0)), (np.log(1e-4), 0.5)]
        starts = [
            np.array([*np.full(dimensions, length), 0.0, noise])
            for length in (np.log(0.3), np.log(2.0))
            for noise in (np.log(0.01), np.log(0.5))
        ]
        found = [minimize(self._cost, at, method="L-BFGS-B", bounds=bounds) for at in starts]
        self._set(min(found, key=lambda it: it.fun).x)

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation at (n, settings), each (n,), in the unit of the values."""
        across = self._kernel(np.asarray(points, float), self.points)
        mean = across @ self.weights
        half = solve_triangular(self.factor, across.T, lower=True)
        variance = np.clip(self.signal - (half**2).sum(axis=0), 0, None)
        return self.shift + self.scale * mean, self.scale * np.sqrt(variance)

    def _set(self, logs: Floats) -> None:
        *lengths, signal, noise = np.exp(logs)
        self.lengths, self.signal, self.noise = np.array(lengths), float(signal), float(noise)
        kernel = self._kernel(self.points, self.points)
        kernel[np.diag_indices_from(kernel)] += self.noise
        self.factor = cholesky(kernel, lower=True)
        self.weights = cho_solve((self.factor, True), self.values)

    def _kernel(self, first: Floats, second: Floats) -> Floats:
        steps = (first[:, None, :] - second[None, :, :]) / self.lengths
        distance = np.sqrt(5 * (steps**2).sum(axis=-1))
        kernel: Floats = self.signal * (1 + distance + distance**2 / 3) * np.exp(-distance)
        return kernel

    def _cost(self, logs: Floats) -> float:
        """Negative log marginal likelihood, with a weak pull of lengths towards 1."""
        self._set(logs)
        fit = 0.5 * self.values @ self.weights + np.log(np.diag(self.factor)).sum()
        return float(fit + 0.5 * (logs[: len(self.lengths)] ** 2).sum() / 4)
