"""The belief about an objective after some observations, and what is to be expected of new points."""

import math
import warnings
from collections.abc import Sequence
from typing import Union

import numpy as np
from scipy.special import ndtr

#: How bandwidths can be found.
BANDWIDTHS = ('samples', 'likelihood')
#: Bandwidths that the likelihood may choose, in the unit cube: narrower than the gaps of few observations, or so wide
#: that a parameter does not count.
_BOUNDS = (.05, 10.)
#: Added to the diagonal of the covariance, as a share of the variance, so that it can be inverted.
JITTER = 1e-10


def expected_improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    r"""Expected improvement over the lowest value so far, Eq. 7 and 8 of PLA for an objective that is minimised.

    .. math:: \mathcal{EI} = E[f(w') - \tilde f]_+ = \sigma (Z \Phi(Z) + \phi(Z)), \quad Z = (f(w') - \mu) / \sigma

    Args:
        mean (np.ndarray): Expected values :math:`\mu`, any shape.
        std (np.ndarray): Their standard deviations :math:`\sigma`, the same shape; where one is 0, what is left is
            :math:`[f(w') - \mu]_+`.
        best (float): Lowest value so far, :math:`f(w')`.

    Returns:
        np.ndarray: Of the same shape, never negative.

    Note:
        The paper prints :math:`Z = (\mu - f(w')) / \sigma`, which is right for a maximum; with it, the closed form is
        not the expectation of Eq. 7.
    """
    mean, std = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    gain = best - mean
    z = np.divide(gain, std, out=np.zeros_like(gain), where=std > 0)
    density = np.exp(-.5 * z ** 2) / math.sqrt(2 * math.pi)
    # Far below the best, the sum of both terms cancels to tiny numbers of either sign.
    return np.where(std > 0, np.maximum(std * (z * ndtr(z) + density), 0.), np.maximum(gain, 0.))


class GaussianProcess:
    r"""Posterior of a Gaussian process with a Gaussian kernel, Eq. 6 of PLA.

    .. math:: K(w_1, w_2) = s^2 \exp(-\tfrac12 (w_1 - w_2)^T B^{-1} (w_1 - w_2)), \quad
              \mu = \bar f + K_* (K + \epsilon s^2 I)^{-1} (f - \bar f), \quad
              \sigma^2 = s^2 - K_* (K + \epsilon s^2 I)^{-1} K_*^T

    The constant prior mean :math:`\bar f` and the prior variance :math:`s^2` are the mean and the variance of the
    observed values (1 where these are all equal), and :math:`B` is diagonal. The fit is scikit-learn's
    ``GaussianProcessRegressor``.

    Args:
        points (np.ndarray): Observed points of the unit cube, ``(N, D)``, at least one.
        values (np.ndarray): What was observed there, ``(N,)``, finite.
        bandwidth (str | float | Sequence[float]): Square roots of the diagonal of :math:`B`, in the unit cube: one
            number, or one for each dimension; ``'samples'``: Scott's rule, the standard deviation of the observed
            points in each dimension times :math:`N^{-1/(D+4)}`; or ``'likelihood'``: starting from these, those that
            make the observed values most likely. Defaults to ``'samples'``.
        noise (float): Variance :math:`\epsilon` of what is observed at the same point, as a share of :math:`s^2`.
            Defaults to 0, which is Eq. 6.

    Raises:
        ValueError: If shapes do not fit, something is not finite, or an option is out of its range.

    Note:
        The paper prints the kernel as a function of :math:`w_1^T B^{-1} w_2`, which is not one of a difference and not
        a covariance of a Gaussian kernel, with the prior variance :math:`(2\pi)^{-d/2} |B|^{-1/2}` of a density; the
        latter has no relation to the spread of an objective.
    """

    def __init__(self, points: np.ndarray, values: np.ndarray,
                 bandwidth: Union[str, float, Sequence[float]] = 'samples', noise: float = 0.) -> None:
        points, values = np.asarray(points, dtype=np.float64), np.asarray(values, dtype=np.float64)
        if points.ndim != 2 or not points.size or values.shape != points.shape[:1]:
            raise ValueError(f'points and values must have shapes (N, D) and (N,), got {points.shape} and '
                             f'{values.shape}')
        if not (np.isfinite(points).all() and np.isfinite(values).all()):
            raise ValueError('points and values must be finite')
        if not noise >= 0:
            raise ValueError(f'noise must not be negative, got {noise}')
        self.centre = float(values.mean())
        spread = float(values.std())
        # What differs by rounding, or so little that its square is 0, is equal.
        self.scale = spread if spread > max(1e-12 * np.abs(values).max(), 1e-100) else 1.
        start = sample_bandwidths(points) if isinstance(bandwidth, str) else bandwidth
        self._model = _fit(points, (values - self.centre) / self.scale, check_bandwidth(start, points.shape[1]),
                           float(noise) + JITTER, check_bandwidth(bandwidth, points.shape[1]) == 'likelihood')

    @property
    def bandwidths(self) -> np.ndarray:
        """Square roots of the diagonal of B, ``(D,)``, in the unit cube."""
        return np.array(self._model.kernel_.length_scale, dtype=np.float64)

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation at points ``(M, D)``: two arrays ``(M,)``."""
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='Predicted variances smaller than 0')
            mean, std = self._model.predict(np.asarray(points, dtype=np.float64), return_std=True)
        return self.centre + self.scale * mean, self.scale * std


def sample_bandwidths(points: np.ndarray) -> list[float]:
    """Scott's rule for each dimension of points ``(N, D)`` of the unit cube.

    Where the points are all equal in a dimension, as a single one is, it is the deviation of even draws that is taken.
    """
    count, dimensions = points.shape
    spread = np.where(np.ptp(points, axis=0) > 0, points.std(axis=0, ddof=min(1, count - 1)), 1 / math.sqrt(12))
    return (spread * count ** (-1 / (dimensions + 4))).tolist()


def check_bandwidth(bandwidth: Union[str, float, Sequence[float]], dimensions: int) -> Union[str, list[float]]:
    """The name of a rule, or a bandwidth for each dimension.

    Raises:
        ValueError: If it is an unknown name, is not positive and finite, or there are not as many as dimensions.
    """
    if isinstance(bandwidth, str):
        if bandwidth not in BANDWIDTHS:
            raise ValueError(f'bandwidth must be {", ".join(map(repr, BANDWIDTHS))}, a number, or one for each '
                             f'parameter, got {bandwidth!r}')
        return bandwidth
    found = np.atleast_1d(np.asarray(bandwidth, dtype=np.float64))
    if found.ndim != 1 or not (np.isfinite(found) & (found > 0)).all():
        raise ValueError(f'bandwidths must be positive numbers, got {bandwidth!r}')
    if len(found) not in (1, dimensions):
        raise ValueError(f'bandwidth must be one number or {dimensions}, one for each parameter, got {len(found)}')
    return found.tolist() * (dimensions if len(found) == 1 else 1)


def _fit(points: np.ndarray, values: np.ndarray, bandwidths: Sequence[float], noise: float, likelihood: bool):
    """scikit-learn's regressor of standardised values."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF
    start = np.clip(bandwidths, *_BOUNDS) if likelihood else bandwidths
    model = GaussianProcessRegressor(RBF(start, _BOUNDS if likelihood else 'fixed'), alpha=noise,
                                     optimizer='fmin_l_bfgs_b' if likelihood else None)
    with warnings.catch_warnings():  # few observations often leave a bandwidth at its bound, which is an answer
        warnings.simplefilter('ignore', ConvergenceWarning)
        return model.fit(points, values)
