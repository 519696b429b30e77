"""Principal component analysis of features."""

from typing import Optional

import torch

from mmreid.evaluation.feature_files import read_features
from mmreid.evaluation.retrieval_data import RetrievalData
from mmreid.registry import TASK_UTILS
from mmreid.utils.features import ROWS_AT_A_TIME, full_float32_matmul

from .base import FeatureTransform

#: Added, as a share of the largest variance, to every variance before whitening divides by its root.
WHITEN_EPS = 1e-9


@TASK_UTILS.register_module()
class PCA(FeatureTransform):
    r"""Project features onto their first principal components: :math:`y = W^\top (x - \mu)`.

    Mean and components come from the gallery, or from features of the training set, which keeps the test set out of the
    model. PLA (section 4.2) reduces 2,048 channels to 512. The covariance is summed in float64, so memory grows with
    C x C only.

    Args:
        num_components (int): Dimensions that are kept.
        whiten (bool): Scale every component to variance 1. Defaults to False.
        fit_on (str): ``'gallery'`` or a file of features (``*.npz``, see ``docs/en/user_guides/evaluation.md``), for
            example of the training images: its split ``train``, or all of its splits where it has no ``train``.
            Defaults to ``'gallery'``.

    Raises:
        ValueError: If there are fewer channels or images than components, or the file has other channels.

    Example:
        >>> test_evaluator = dict(type='ReIDMetric', post_processors=[dict(type='PCA', num_components=512)])
    """

    def __init__(self, num_components: int, whiten: bool = False, fit_on: str = 'gallery') -> None:
        if num_components < 1:
            raise ValueError(f'num_components must be at least 1, got {num_components}')
        if fit_on != 'gallery' and not str(fit_on).endswith('.npz'):
            raise ValueError(f"fit_on must be 'gallery' or a file *.npz, got {fit_on!r}")
        self.num_components, self.whiten, self.fit_on = num_components, whiten, fit_on
        self.explained: Optional[float] = None
        self._fitted_on = fit_on
        self._mean = self._components = torch.empty(0)

    def fit(self, data: RetrievalData) -> None:
        """Take mean and components from the gallery or the file."""
        feats = data.gallery.feats if self.fit_on == 'gallery' else self._file_feats(data.gallery.feats)
        if not self.num_components <= min(feats.shape):
            raise ValueError(f'PCA to {self.num_components} components needs at least as many channels and images, got '
                             f'{feats.shape[1]} channels and {len(feats)} images ({self.fit_on})')
        mean, covariance = moments(feats)
        variances, vectors = torch.linalg.eigh(covariance)  # ascending
        if not variances[-1] > 0:
            raise ValueError(f'PCA needs features that differ, but all {len(feats)} of {self.fit_on} are equal')
        variances, vectors = variances.flip(0).clamp(min=0), vectors.flip(1)[:, :self.num_components]
        # The sign of a component is free; its largest entry is made positive so that every machine agrees.
        largest = vectors.abs().argmax(0, keepdim=True)
        vectors = vectors * vectors.gather(0, largest).sign()
        self.explained = float(variances[:self.num_components].sum() / variances.sum().clamp(min=1e-300))
        if self.whiten:
            vectors = vectors / (variances[:self.num_components] + WHITEN_EPS * variances[0]).sqrt()
        self._mean, self._components = mean.to(feats.dtype), vectors.to(feats.dtype)

    def transform(self, feats: torch.Tensor) -> torch.Tensor:
        """Projection of shape ``(N, num_components)``."""
        with full_float32_matmul():
            return torch.cat([(rows - self._mean) @ self._components for rows in feats.split(ROWS_AT_A_TIME)])

    def describe(self) -> str:
        """Dimensions, what it was fitted on, and the share of the variance that is kept."""
        kept = '' if self.explained is None else f', {100 * self.explained:.1f} % of the variance'
        return (f'PCA({self.num_components}{", whitened" if self.whiten else ""}, fitted on {self._fitted_on}{kept})')

    def _file_feats(self, like: torch.Tensor) -> torch.Tensor:
        splits = read_features(self.fit_on)
        # Training images are what such a file is for; without any, all that it has.
        chosen = ['train'] if 'train' in splits else list(splits)
        feats = torch.cat([splits[name].feats for name in chosen])
        self._fitted_on = f'{self.fit_on}: {" + ".join(chosen)}, {len(feats):,} images'
        if feats.shape[1] != like.shape[1]:
            raise ValueError(f'{self.fit_on} has features of {feats.shape[1]} channels, the test set of '
                             f'{like.shape[1]}')
        return feats.to(like)


def moments(feats: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean ``(C,)`` and covariance ``(C, C)`` of the rows, in float64, summed in pieces."""
    mean = sum(rows.double().sum(0) for rows in feats.split(ROWS_AT_A_TIME)) / len(feats)
    covariance = torch.zeros(feats.shape[1], feats.shape[1], dtype=torch.float64, device=feats.device)
    for rows in feats.split(ROWS_AT_A_TIME):
        centred = rows.double() - mean
        covariance.addmm_(centred.T, centred)
    return mean, covariance / max(1, len(feats) - 1)
