"""A gallery without junk."""

from dataclasses import replace

import torch

from mmreid.evaluation.retrieval_data import RetrievalData
from mmreid.registry import TASK_UTILS

from .base import PostProcessor


@TASK_UTILS.register_module()
class DropJunk(PostProcessor):
    """Leave gallery images of some identities out from the start, so that re-ranking and the like never see them.

    Rankings drop junk anyway. Without this step it still takes part as neighbours in re-ranking and query expansion, as
    it would in a system that does not know what is junk; readers of several other toolboxes leave it out.

    Args:
        pids (tuple[int, ...]): Identities to leave out. Defaults to (-1, ).

    Raises:
        ValueError: If nothing would be left.
    """

    def __init__(self, pids: tuple[int, ...] = (-1, )) -> None:
        self.pids = (pids, ) if isinstance(pids, int) else tuple(pids)

    def __call__(self, data: RetrievalData) -> RetrievalData:
        """The same with fewer gallery images."""
        self._need_feats(data)
        keep = ~torch.isin(data.gallery.pids, torch.tensor(self.pids))
        if not keep.any():
            raise ValueError(f'DropJunk would leave no gallery image: all {len(keep)} have an identity of {self.pids}')
        return data if keep.all() else replace(data, gallery=data.gallery.rows(keep))
