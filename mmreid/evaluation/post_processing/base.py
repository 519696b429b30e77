"""What happens to features between extraction and ranking."""

from abc import ABC, abstractmethod

import torch

from mmreid.evaluation.retrieval_data import RetrievalData


class PostProcessor(ABC):
    """One step between extraction and ranking, registered in ``TASK_UTILS``.

    ``ReIDMetric(post_processors=[...])`` calls a list of them one after another, each with the
    :class:`~mmreid.evaluation.RetrievalData` that the one before returned.
    """

    #: Whether the step puts distances in the place of features, so that no step on features can follow.
    replaces_features = False

    @abstractmethod
    def __call__(self, data: RetrievalData) -> RetrievalData:
        """Return what is ranked, or post-processed further."""

    def describe(self) -> str:
        """Name and settings for the result table; read after the call."""
        return type(self).__name__

    def _need_feats(self, data: RetrievalData) -> None:
        """Raise ValueError where an earlier step has replaced features by distances."""
        if data.distances is not None:
            raise ValueError(f'{type(self).__name__} changes features, but an earlier post-processor has already '
                             'replaced them by distances: list re-ranking last')


class FeatureTransform(PostProcessor):
    """A step that does the same to the features of every split, after it has looked at all of them.

    A subclass implements :meth:`transform` and, if it has something to learn, :meth:`fit`.
    """

    def __call__(self, data: RetrievalData) -> RetrievalData:
        """Fit, and transform the features of queries, gallery and multi-query images."""
        self._need_feats(data)
        self.fit(data)
        return data.map_feats(self.transform)

    def fit(self, data: RetrievalData) -> None:
        """Learn from the test set; nothing by default."""

    @abstractmethod
    def transform(self, feats: torch.Tensor) -> torch.Tensor:
        """Features ``(N, C)`` -> ``(N, D)``."""
