"""Labelling features from which the look of each camera has been taken."""

from typing import Optional, Union

import numpy as np
import torch

from mmreid.registry import TASK_UTILS
from mmreid.utils.features import Array, as_tensor

from .base import PseudoLabeller, PseudoLabels
from .cross_camera import SAY_CAMERAS


@TASK_UTILS.register_module()
class CameraNormalised(PseudoLabeller):
    """Standardise the features of each camera by itself, then label them with another labeller.

    Cameras differ in light, colour and background, and a network from another camera network has not learned to look
    past these: images then cluster by camera. Here every channel gets mean 0 and variance 1 over the images of each
    camera, which takes the part that all images of a camera share. It supposes that the cameras see about the same
    people; where each sees others, their difference goes, too. No part of PUL; which images a network is trained on
    changes, its features do not.

    Args:
        labeller (dict | PseudoLabeller): What labels the standardised features. Similarities of features with mean 0
            are lower than those of features that are all positive, so thresholds must be lower, too.

    Raises:
        ValueError: If the images come without cameras, or a camera has a single image.

    Example:
        >>> labeller = dict(type='CameraNormalised', labeller=dict(
        ...     type='SelfPacedKMeans', num_clusters=750, threshold=0.7))
    """

    def __init__(self, labeller: Union[dict, PseudoLabeller]) -> None:
        self.labeller = TASK_UTILS.build(labeller) if isinstance(labeller, dict) else labeller

    @property
    def seed(self) -> Optional[int]:
        """That of the labeller in it."""
        return getattr(self.labeller, 'seed', 0)

    @seed.setter
    def seed(self, seed: int) -> None:
        self.labeller.seed = seed

    def check_cameras(self, camids: Optional[np.ndarray]) -> None:
        """Refuse images that cannot be labelled because of their cameras; rounds ask before they extract features.

        Args:
            camids (np.ndarray, optional): Cameras, int64 ``(N,)``; None: not known.

        Raises:
            ValueError: If cameras are not known, or one has a single image.
        """
        if camids is None:
            raise ValueError('CameraNormalised needs the camera of every image, and these images come without: use the '
                             f'labeller in it, {type(self.labeller).__name__}, directly, or say the cameras. '
                             f'{SAY_CAMERAS}.')
        cameras, counts = np.unique(camids, return_counts=True)
        if counts.min(initial=2) < 2:
            raise ValueError(f'camera {cameras[counts.argmin()]} has a single image, which is its own mean: leave the '
                             'camera out, or use the labeller without CameraNormalised')
        if hasattr(self.labeller, 'check_cameras'):
            self.labeller.check_cameras(camids)

    def normalise(self, feats: Array, camids: Optional[np.ndarray]) -> Array:
        """Features as the labeller in it sees them.

        Args:
            feats (np.ndarray | torch.Tensor): Features ``(N, C)``, float.
            camids (np.ndarray): Cameras, int64 ``(N,)``.

        Returns:
            np.ndarray | torch.Tensor: Standardised features ``(N, C)``; a tensor only where ``feats`` is on a GPU.

        Raises:
            ValueError: If cameras are not known, or one has a single image.
        """
        self.check_cameras(camids)
        source = as_tensor(feats)
        result = torch.empty_like(source)
        for camera in np.unique(camids).tolist():
            rows = torch.from_numpy(np.flatnonzero(camids == camera)).to(source.device)
            block = source[rows].double()
            mean, deviation = block.mean(dim=0), block.std(dim=0, correction=0)
            # A channel that is the same all over a camera (a dead one) says nothing there: 0.
            scale = torch.where(deviation > 1e-6 * (mean.abs() + 1), 1 / deviation.clamp(min=1e-30), 0.)
            result[rows] = ((block - mean) * scale).to(result.dtype)
        return result if source.is_cuda else result.numpy()

    def label(self, feats: Array, camids: Optional[np.ndarray]) -> PseudoLabels:
        """Standardise and label."""
        return self.labeller(self.normalise(feats, camids), camids)

    def describe(self) -> str:
        """Name and settings for logs."""
        return f'CameraNormalised({self.labeller.describe()})'
