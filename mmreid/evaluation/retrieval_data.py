"""Features of a test set and what is known about them, from extraction to ranking."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Optional

import torch

#: All splits; features are gathered with the position of their split here.
SPLITS = ('query', 'gallery', 'multi_query', 'train')
#: Those that take part in an evaluation.
EVALUATED_SPLITS = ('query', 'gallery', 'multi_query')
#: Those that an evaluation must have.
NEEDED_SPLITS = ('query', 'gallery')


@dataclass(frozen=True)
class Features:
    """Features of one split in the order of the dataset.

    ``feats`` is a float tensor ``(N, C)``; ``pids``, ``camids`` and ``sample_idx`` are int64 CPU tensors ``(N,)``;
    cameras that are not known are None.
    """

    feats: torch.Tensor
    pids: torch.Tensor
    camids: Optional[torch.Tensor]
    sample_idx: torch.Tensor

    def __len__(self) -> int:
        return len(self.feats)

    def rows(self, chosen: torch.Tensor) -> 'Features':
        """Some of the rows, by a mask or by indices."""
        return Features(self.feats[chosen], self.pids[chosen], None if self.camids is None else self.camids[chosen],
                        self.sample_idx[chosen])

    def with_feats(self, feats: torch.Tensor) -> 'Features':
        """The same images with other features, a row each."""
        if len(feats) != len(self):
            raise ValueError(f'{len(self)} images need as many features, got {len(feats)}')
        return replace(self, feats=feats)


@dataclass(frozen=True)
class RetrievalData:
    """What post-processors take and return, and what is ranked in the end.

    Args:
        query (Features): Queries.
        gallery (Features): Gallery.
        metric (str): Distance that ranks them: ``'euclidean'``, ``'sqeuclidean'`` or ``'cosine'``.
        multi_query (Features, optional): More images of the queries' identities and cameras. Defaults to None.
        distances (Callable, optional): ``distances(start, stop)`` returns the distances of these queries to the
            gallery, of shape ``(stop - start, G)``, where a post-processor has replaced those of the features.
            Defaults to None.
    """

    query: Features
    gallery: Features
    metric: str = 'cosine'
    multi_query: Optional[Features] = None
    distances: Optional[Callable[[int, int], torch.Tensor]] = None

    def splits(self) -> dict[str, Features]:
        """The splits that are there, by name."""
        return {name: getattr(self, name) for name in EVALUATED_SPLITS if getattr(self, name) is not None}

    def map_feats(self, function: Callable[[torch.Tensor], torch.Tensor]) -> 'RetrievalData':
        """Apply a function to the features of each split."""
        return replace(self, **{name: split.with_feats(function(split.feats)) for name, split in self.splits().items()})

    def to(self, device: torch.device) -> 'RetrievalData':
        """The same with features on a device."""
        return self.map_feats(lambda feats: feats.to(device))
