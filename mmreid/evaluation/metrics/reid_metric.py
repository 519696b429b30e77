"""CMC, mAP and mINP of a test set."""

import logging
from collections.abc import Callable, Sequence
from typing import Optional, Union

from mmengine.logging import print_log

from mmreid.evaluation.feature_files import write_features
from mmreid.evaluation.functional.protocols import Protocol, unique_protocols
from mmreid.evaluation.functional.ranking import check_topk
from mmreid.evaluation.report import RetrievalReport
from mmreid.evaluation.retrieval import evaluate_retrieval
from mmreid.evaluation.retrieval_data import Features, RetrievalData
from mmreid.registry import METRICS, TASK_UTILS
from mmreid.utils.command_line import check_device
from mmreid.utils.distance import check_metric

from .feature_metric import FeatureMetric


@METRICS.register_module()
class ReIDMetric(FeatureMetric):
    """Retrieval metrics of person re-identification, under one or several protocols.

    The query / gallery split travels with the samples, so nothing depends on the order of rows, and neither the number
    of processes nor padding changes a digit on the CPU. A table of the results, of what was dropped and why, and of the
    time and memory of each stage is logged.

    Args:
        protocols (Sequence[str | Protocol | dict]): Names in :data:`mmreid.evaluation.PROTOCOLS`, protocols, or dicts
            such as ``dict(name='cuhk03', num_draws=100)``. Defaults to ``('market1501', )``.
        metric (str): ``'cosine'``, ``'euclidean'`` or ``'sqeuclidean'``. Defaults to ``'cosine'``.
        topk (Sequence[int]): Ranks of the CMC curve to report. Defaults to (1, 5, 10, 20).
        post_processors (Sequence[dict | Callable]): Applied one after another before ranking, each
            ``RetrievalData -> RetrievalData`` (see :class:`mmreid.evaluation.PostProcessor`), built from
            ``TASK_UTILS``. Defaults to none.
        trapezoid (bool): Whether to add ``mAP-trapezoid``, the AP of the original MATLAB code. Defaults to False.
        device (str, optional): Where to post-process and rank. Defaults to None: a CUDA device if there is one with
            room for the features, else the CPU.
        dump (str, optional): File ``*.npz`` to which the extracted features are written, before any post-processing:
            ``query_feats``, ``query_pids``, ``query_camids``, ``query_sample_idx`` (the row in the dataset),
            ``query_paths`` (the image file) and the same for the other splits. Defaults to none.
        report (str, optional): File ``*.json`` for the whole result, with CMC curves and counts. Defaults to none.
        collect_device (str): ``'cpu'`` or ``'gpu'``, as in mmengine. Defaults to ``'cpu'``.
        prefix (str, optional): Prefix of the keys. Defaults to none: keys are ``market1501/mAP``,
            ``market1501/mINP``, ``market1501/rank-1`` and so on, in percent.

    Raises:
        ValueError: If a protocol or the metric is unknown, a protocol is named twice, or a file has another suffix.

    Example:
        >>> test_evaluator = dict(type='ReIDMetric', protocols=('market1501', 'nd'), metric='cosine')
    """

    def __init__(self,
                 protocols: Union[str, Sequence[Union[str, Protocol, dict]]] = ('market1501', ),
                 metric: str = 'cosine',
                 topk: Sequence[int] = (1, 5, 10, 20),
                 post_processors: Sequence[Union[dict, Callable]] = (),
                 trapezoid: bool = False,
                 device: Optional[str] = None,
                 dump: Optional[str] = None,
                 report: Optional[str] = None,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.protocols = unique_protocols(protocols)
        self.metric = check_metric(metric)
        self.topk = check_topk(topk)
        self.post_processors = [TASK_UTILS.build(item) if isinstance(item, dict) else item for item in post_processors]
        last = [getattr(step, 'replaces_features', False) for step in self.post_processors]
        if any(last[:-1]):
            raise ValueError(f'{type(self.post_processors[last.index(True)]).__name__} replaces features by distances: '
                             'it must be the last of post_processors')
        check_device(device)
        for name, path, suffix in (('dump', dump, '.npz'), ('report', report, '.json')):
            if path is not None and not str(path).endswith(suffix):
                raise ValueError(f'{name} must name a file that ends in {suffix}, got {str(path)!r}')
        self.trapezoid, self.device, self.dump, self.report = trapezoid, device, dump, report
        #: File to which features are written if the evaluation fails after minutes of extraction; None: none.
        self.rescue: Optional[str] = None
        #: What the last evaluation found, on the main process.
        self.last_report: Optional[RetrievalReport] = None

    def compute(self, splits: dict[str, Features]) -> dict:
        """Post-process, rank under every protocol, log the tables and return the metrics."""
        kept = self.dump is not None and self._keep(self.dump, splits)
        try:
            found = evaluate_retrieval(RetrievalData(metric=self.metric, **splits), self.protocols,
                                       self.post_processors, self.topk, trapezoid=self.trapezoid, device=self.device,
                                       stages={'extraction': self.extraction})
        except Exception:
            if self.rescue is not None and not kept and self._keep(self.rescue, splits):
                print_log(f'The features are not lost: python tools/analysis_tools/eval_features.py {self.rescue}',
                          logger='current', level=logging.ERROR)
            raise
        self.last_report = found
        if self.report is not None:
            found.write(self.report)
        print_log(found.text(), logger='current')
        return found.metrics()

    @property
    def wants_paths(self) -> bool:
        """Whether features may be written to a file."""
        return self.dump is not None or self.rescue is not None

    def _keep(self, path: str, splits: dict[str, Features]) -> bool:
        """Write the features; whether that went well. The evaluation goes on if it did not."""
        try:
            write_features(path, splits, self.paths)
        except OSError as error:
            print_log(f'the features could not be written to {path}: {error}', logger='current', level=logging.ERROR)
            return False
        print_log(f'features written to {path}', logger='current')
        return True
