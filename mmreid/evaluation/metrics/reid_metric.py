"""CMC, mAP and mINP of a test set."""

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
from mmreid.utils.distance import check_metric

from .feature_metric import FeatureMetric


@METRICS.register_module()
class ReIDMetric(FeatureMetric):
    """Retrieval metrics of person re-identification, under one or several protocols.

    The query / gallery split travels with the samples, so nothing depends on the order of rows, and neither the number
    of processes nor padding changes a digit on the CPU. A table of the results, of what was dropped and why, and of the
    time and memory of each stage is logged.

    Args:
        protocols (Sequence[str | Protocol]): Names in :data:`mmreid.evaluation.PROTOCOLS`, or protocols. Defaults to
            ``('market1501', )``.
        metric (str): ``'cosine'``, ``'euclidean'`` or ``'sqeuclidean'``. Defaults to ``'cosine'``.
        topk (Sequence[int]): Ranks of the CMC curve to report. Defaults to (1, 5, 10, 20).
        post_processors (Sequence[dict | Callable]): Applied one after another before ranking, each
            ``RetrievalData -> RetrievalData`` (see :class:`mmreid.evaluation.PostProcessor`), built from
            ``TASK_UTILS``. Defaults to none.
        trapezoid (bool): Whether to add ``mAP-trapezoid``, the AP of the original MATLAB code. Defaults to False.
        device (str, optional): Where to post-process and rank. Defaults to None: a CUDA device if there is one with
            room for the features, else the CPU.
        dump (str, optional): File ``*.npz`` to which the extracted features are written, before any post-processing:
            ``query_feats``, ``query_pids``, ``query_camids``, ``query_sample_idx`` and the same for the other splits.
            Defaults to none.
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
                 protocols: Union[str, Sequence[Union[str, Protocol]]] = ('market1501', ),
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
        for name, path, suffix in (('dump', dump, '.npz'), ('report', report, '.json')):
            if path is not None and not str(path).endswith(suffix):
                raise ValueError(f'{name} must name a file that ends in {suffix}, got {str(path)!r}')
        self.trapezoid, self.device, self.dump, self.report = trapezoid, device, dump, report
        #: What the last evaluation found, on the main process.
        self.last_report: Optional[RetrievalReport] = None

    def compute(self, splits: dict[str, Features]) -> dict:
        """Post-process, rank under every protocol, log the tables and return the metrics."""
        if self.dump is not None:
            write_features(self.dump, splits)
            print_log(f'features written to {self.dump}', logger='current')
        found = evaluate_retrieval(RetrievalData(metric=self.metric, **splits), self.protocols, self.post_processors,
                                   self.topk, trapezoid=self.trapezoid, device=self.device,
                                   stages={'extraction': self.extraction})
        self.last_report = found
        print_log(found.text(), logger='current')
        if self.report is not None:
            found.write(self.report)
        return found.metrics()
