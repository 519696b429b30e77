"""The labeller of self-training: classes of an anchor camera, handed on to the nearest images of the others."""

from typing import Any, Optional, Union

import numpy as np

from mmreid.registry import TASK_UTILS
from mmreid.utils.features import Array, as_tensor

from .base import PseudoLabeller, PseudoLabels
from .cross_camera import (
    anchor_labels,
    check_anchor,
    check_cameras,
    choose_anchor,
    crowding,
    mutual_neighbours,
)


@TASK_UTILS.register_module()
class CrossCameraNeighbours(PseudoLabeller):
    r"""Each image of one camera is a class; each other image belongs to the class of its nearest image there.

    Self-training of Geng et al., `Deep Transfer Learning for Person Re-identification
    <https://arxiv.org/abs/1611.05244>`_, section 4.2, on features :math:`y = \varphi(x)` under the Euclidean distance.
    The paper has two cameras, A (the anchor here) and B. With more, one camera is the anchor and each of the others is
    labelled by it as B is by A; neighbours between two other cameras are not looked at. There are as many classes as
    images of the anchor camera, several of one person where it was seen several times, and many have no other image:
    such classes teach a classifier, but no pair of a verification loss.

    In addition to what all labellers log, ``info`` has ``anchor`` (the camera), ``num_anchor`` (its images),
    ``mutual_share`` (of the other images, the share that is the nearest of its camera to its neighbour) and
    ``neighbour_rows`` (row of the image of the anchor camera that is nearest to each image, itself for those of that
    camera).

    Args:
        anchor (str | int): Camera that gives the classes: ``'largest'``, the one with most images, of several the one
            with the lowest number, or a number. Defaults to ``'largest'``.
        mutual (bool): Select, of the other cameras, only images that are the nearest one of their camera to their
            neighbour. Images of the anchor camera are selected in any case. Not in the paper. Defaults to False.
        within (dict | PseudoLabeller, optional): Labels the images of the anchor camera first, so that those of a
            person may be one class; what it does not select is not handed on either. Not in the paper. Defaults to
            None: each is a class.

    Raises:
        TypeError: If ``within`` is no labeller.
        ValueError: If ``anchor`` is neither; when called, also if images come without cameras, are all of one camera,
            or none is of the anchor camera, or if all features are zero or equal.

    Example:
        >>> labeller = dict(type='CrossCameraNeighbours')
        >>> few_classes = dict(type='CrossCameraNeighbours', within=dict(
        ...     type='SelfPacedKMeans', num_clusters=300, threshold=None))
    """

    def __init__(self, anchor: Union[str, int] = 'largest', mutual: bool = False,
                 within: Optional[Union[dict, PseudoLabeller]] = None) -> None:
        self.anchor, self.mutual = check_anchor(anchor), bool(mutual)
        self.within = TASK_UTILS.build(within) if isinstance(within, dict) else within
        if not isinstance(self.within, (PseudoLabeller, type(None))):
            raise TypeError('within must be a labeller or the config of one (SelfPacedKMeans, DensityClusters), or '
                            f'None, got {within!r}')

    @property
    def seed(self) -> Optional[int]:
        """That of the labeller in it; nothing is drawn here."""
        return getattr(self.within, 'seed', 0)

    @seed.setter
    def seed(self, seed: int) -> None:
        if self.within is not None:
            self.within.seed = seed

    def check_cameras(self, camids: Optional[np.ndarray]) -> None:
        """Refuse images that cannot be labelled because of their cameras; rounds ask before they extract features."""
        check_cameras(camids, type(self).__name__)

    def label(self, feats: Array, camids: Optional[np.ndarray]) -> PseudoLabels:
        """Label by the anchor camera."""
        name = type(self).__name__
        camids = check_cameras(camids, name)
        anchor = choose_anchor(camids, self.anchor)
        labels, neighbours = anchor_labels(feats, camids, anchor, name)
        members, others = np.flatnonzero(camids == anchor), camids != anchor
        mutual = mutual_neighbours(feats, camids, neighbours)
        info: dict[str, Any] = dict(anchor=anchor, num_anchor=len(members),
                                    mutual_share=float(mutual[others].mean()), neighbour_rows=neighbours)
        chosen, exemplars, warnings = np.ones(len(camids), dtype=bool), members, []
        if self.within is not None:
            grouped = self._grouped(feats, members, anchor)
            labels, chosen, exemplars = grouped.labels[labels], grouped.mask[labels], None
            warnings = [f'within camera {anchor}: {text}' for text in grouped.info['warnings']]
            if 'reason' in grouped.info:
                info['reason'] = f'within camera {anchor}: {grouped.info["reason"]}'
        if self.mutual:
            chosen = chosen & (mutual | ~others)
        info['warnings'] = warnings + crowding(labels, others)
        return PseudoLabels(labels, chosen, info, exemplars)

    def _grouped(self, feats: Array, members: np.ndarray, anchor: int) -> PseudoLabels:
        rows = as_tensor(feats)[members.tolist()]
        try:
            return self.within(rows if rows.is_cuda else rows.numpy(), np.full(len(members), anchor))
        except ValueError as error:
            raise ValueError(f'within camera {anchor}, which has {len(members):,} images: {error}') from error

    def describe(self) -> str:
        """Name and settings."""
        parts = [f'anchor={self.anchor}', *(['mutual'] if self.mutual else ()),
                 *([f'within={self.within.describe()}'] if self.within is not None else ())]
        return f'CrossCameraNeighbours({", ".join(parts)})'

