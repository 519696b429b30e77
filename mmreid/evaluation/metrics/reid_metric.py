"""CMC, mAP and mINP of a test set."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np
import torch
from mmengine.logging import print_log

from mmreid.evaluation.functional import evaluate_ranking, get_protocol
from mmreid.registry import METRICS, TASK_UTILS
from mmreid.utils.distance import check_metric

from .feature_metric import FeatureMetric, Features
from .tables import text_table


@METRICS.register_module()
class ReIDMetric(FeatureMetric):
    """Retrieval metrics of person re-identification, under one or several protocols.

    The query / gallery split travels with the samples, so nothing depends on the order of rows, and neither the number
    of processes nor padding changes a digit. A table of the results is logged.

    Args:
        protocols (Sequence[str]): Names in :data:`mmreid.evaluation.PROTOCOLS`. Defaults to ``('market1501', )``.
        metric (str): ``'cosine'``, ``'euclidean'`` or ``'sqeuclidean'``. Defaults to ``'cosine'``.
        topk (Sequence[int]): Ranks of the CMC curve to report. Defaults to (1, 5, 10, 20).
        post_processors (Sequence[dict | Callable]): Applied one after another to the features before they are ranked,
            each ``(query_feats, gallery_feats) -> (query_feats, gallery_feats)``, built from ``TASK_UTILS``.
            Defaults to none.
        dump (str, optional): File ``*.npz`` to which the extracted features are written, before any post-processing:
            ``query_feats``, ``query_pids``, ``query_camids``, ``query_sample_idx`` and the same for ``gallery``.
            Defaults to none.
        collect_device (str): ``'cpu'`` or ``'gpu'``, as in mmengine. Defaults to ``'cpu'``.
        prefix (str, optional): Prefix of the keys. Defaults to none: keys are ``market1501/mAP``,
            ``market1501/mINP``, ``market1501/rank-1`` and so on, in percent.

    Raises:
        ValueError: If a protocol or the metric is unknown, a protocol is named twice, or ``dump`` has another suffix.

    Example:
        >>> test_evaluator = dict(type='ReIDMetric', protocols=('market1501', 'nd'), metric='cosine')
    """

    def __init__(self,
                 protocols: Sequence[str] = ('market1501', ),
                 metric: str = 'cosine',
                 topk: Sequence[int] = (1, 5, 10, 20),
                 post_processors: Sequence[Union[dict, Callable]] = (),
                 dump: Optional[str] = None,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        protocols = (protocols, ) if isinstance(protocols, str) else protocols
        self.protocols = [get_protocol(protocol) for protocol in protocols]
        names = [protocol.name for protocol in self.protocols]
        if not names or len(set(names)) != len(names):
            raise ValueError(f'protocols must name one or more different protocols, got {names}')
        self.metric = check_metric(metric)
        self.topk = (topk, ) if isinstance(topk, int) else tuple(topk)
        self.post_processors = [TASK_UTILS.build(item) if isinstance(item, dict) else item for item in post_processors]
        if dump is not None and not str(dump).endswith('.npz'):
            raise ValueError(f'dump must name a file that ends in .npz, got {str(dump)!r}')
        self.dump = dump

    def compute(self, query: Features, gallery: Features) -> dict:
        """Rank under every protocol, log the table and return the metrics."""
        if self.dump is not None:
            self._write(query=query, gallery=gallery)
        feats = query.feats, gallery.feats
        for post_process in self.post_processors:
            feats = post_process(*feats)
        results = {
            protocol.name: evaluate_ranking(*feats, query.pids, gallery.pids, query.camids, gallery.camids,
                                            protocol=protocol, metric=self.metric, topk=self.topk)
            for protocol in self.protocols
        }
        print_log(self._table(results, gallery.pids), logger='current')
        return {f'{name}/{key}': value for name, result in results.items() for key, value in result.items()
                if not key.startswith('num_')}

    def _write(self, **splits: Features) -> None:
        """Write the features of both splits to the file ``dump``."""
        arrays = {f'{split}_{key}': value.numpy() for split, features in splits.items()
                  for key, value in vars(features).items()}
        Path(self.dump).parent.mkdir(parents=True, exist_ok=True)
        np.savez(self.dump, **arrays)
        print_log(f'features written to {self.dump}', logger='current')

    def _table(self, results: dict, gallery_pids: torch.Tensor) -> str:
        """One row a protocol: what was compared, and the metrics in percent."""
        scores = [key for key in next(iter(results.values())) if not key.startswith('num_')]
        rows = [[protocol.name, self.metric,
                 '{num_valid_queries}/{num_queries}'.format(**results[protocol.name]),
                 str(len(gallery_pids)), str(int(protocol.junk(gallery_pids).sum()))] +
                [f'{results[protocol.name][key]:.2f}' for key in scores] for protocol in self.protocols]
        title = 'Retrieval results in %; queries: with a match / all; gallery: all images, of which junk is dropped'
        return f'{title}\n{text_table(["protocol", "metric", "queries", "gallery", "junk", *scores], rows)}'
