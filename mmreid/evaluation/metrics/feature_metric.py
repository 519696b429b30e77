"""Collection of features and their annotations over batches and processes."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Optional

import torch
from mmengine.dist import all_gather, all_gather_object, broadcast_object_list, gather, get_comm_device, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmreid.evaluation.retrieval_data import EVALUATED_SPLITS, NEEDED_SPLITS, SPLITS, Features
from mmreid.utils.features import named_rows
from mmreid.utils.memory import Cost, Measurement

#: Stands for a camera that is not known (``camid`` None) while features are gathered.
NO_CAMERA = torch.iinfo(torch.int64).min
#: Rows that processes exchange at a time.
ROWS_AT_A_TIME = 8192
#: What a predicted sample must carry.
NEEDED = ('feature', 'pid', 'camid', 'split', 'sample_idx')


class FeatureMetric(BaseMetric):
    """Base of metrics that need the features of the whole test set at once.

    Batches are kept as float32 CPU tensors and concatenated once. Processes exchange them as tensors, through the
    backend of their process group (so ``collect_device`` makes no difference to the digits), and rows are put into the
    order of ``sample_idx``, each once: what a distributed sampler pads changes nothing. An error found on the main
    process is raised on all of them.

    Args:
        collect_device (str): ``'cpu'`` or ``'gpu'``, as in mmengine. Defaults to ``'cpu'``.
        prefix (str, optional): Prefix of the keys of the result. Defaults to none.
    """

    default_prefix = ''

    #: Splits that samples may belong to.
    splits = EVALUATED_SPLITS
    #: Splits without which nothing can be computed.
    needed_splits = NEEDED_SPLITS
    #: Whether the files of the images are gathered as well; the same on every process.
    wants_paths = False

    def __init__(self, collect_device: str = 'cpu', prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.extraction = Cost()
        self._extraction: Optional[Measurement] = None
        #: File of each ``sample_idx``, where they were wanted.
        self.paths: dict[int, str] = {}

    @abstractmethod
    def compute(self, splits: dict[str, Features]) -> dict:
        """Compute the metrics on the main process from the features of each split."""

    def start_extraction(self, device: torch.device) -> None:
        """Begin to measure the time and memory of the extraction, in this process."""
        self._extraction = Measurement(device)

    def stop_extraction(self) -> None:
        """End the measurement; ``extraction`` holds the result."""
        if self._extraction is not None:
            self.extraction, self._extraction = self._extraction.stop(), None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the features and annotations of a batch of predicted samples, given as dicts.

        Raises:
            ValueError: If a sample lacks a field or belongs to another split than those the metric takes.
        """
        if not data_samples:
            return
        for sample in data_samples:
            missing = [key for key in NEEDED if key not in sample]
            if missing:
                raise ValueError(f'{type(self).__name__} needs the fields {", ".join(NEEDED)} in every predicted '
                                 f'sample, but {", ".join(missing)} is missing (found: {", ".join(sorted(sample))})')
            if sample['split'] not in self.splits:
                raise ValueError(f'split must be one of {", ".join(self.splits)} in evaluation, got '
                                 f'{sample["split"]!r} for the sample {sample["sample_idx"]}')
        if self._extraction is None:  # no hook has said when extraction began
            self.start_extraction(torch.as_tensor(data_samples[0]['feature']).device)
        self._extraction.sample()
        feats = torch.stack([torch.as_tensor(sample['feature']).detach() for sample in data_samples])
        ids = [[int(sample['sample_idx']), int(sample['pid']),
                NO_CAMERA if sample['camid'] is None else int(sample['camid']), SPLITS.index(sample['split'])]
               for sample in data_samples]
        self.results.append((feats.to('cpu', torch.float32), torch.tensor(ids, dtype=torch.int64)))
        if self.wants_paths:
            self.paths.update((row[0], str(sample['img_path'])) for row, sample in zip(ids, data_samples)
                              if 'img_path' in sample)

    def evaluate(self, size: int) -> dict:
        """Gather the features of all processes and compute the metrics.

        Args:
            size (int): Number of samples in the dataset.

        Returns:
            dict: Metrics, the same on every process.

        Raises:
            ValueError: If samples are missing or in contradiction, or the metric cannot be computed; on every process.
        """
        self.stop_extraction()
        try:
            feats, ids = gather_rows(*concatenate(self.results))
            paths = {row: path for part in all_gather_object(self.paths) for row, path in part.items()} \
                if self.wants_paths else {}
        finally:
            self.results.clear()
            self.paths = {}
        metrics, error = {}, None
        if is_main_process():
            self.paths = paths
            try:
                metrics = self.compute_metrics([(feats, ids)], size)
                metrics = {f'{self.prefix}/{key}' if self.prefix else key: metrics[key] for key in metrics}
            except Exception as caught:  # passed on below, so that no process waits for a result that does not come
                error = caught
            self.paths = {}
        outcome = [(metrics, error and str(error))]
        broadcast_object_list(outcome)
        if error is not None:
            raise error
        metrics, message = outcome[0]
        if message is not None:
            raise ValueError(message)
        return metrics

    def compute_metrics(self, results: list, size: Optional[int] = None) -> dict:
        """Compute the metrics from the batches of all processes, in any order and with repeated samples."""
        feats, ids = unique_samples(*concatenate(results))
        if size is not None and len(ids) < size:
            raise ValueError(f'the dataset has {size} samples, but features came for {len(ids)} different sample_idx: '
                             'either some were not extracted or sample_idx is not unique in the dataset')
        finite = feats.sum(1).isfinite()
        if not finite.all():
            rows = ids[~finite, 0].tolist()
            raise ValueError(f'the features of {len(rows)} samples are NaN or infinite, sample_idx: '
                             f'{", ".join(map(str, rows[:10]))}{", ..." if len(rows) > 10 else ""}')
        splits = {name: _rows_of(feats, ids, number) for number, name in enumerate(SPLITS)}
        for name in self.needed_splits:
            if not len(splits[name]):
                raise ValueError(f'there is no {name} image among the {len(ids)} evaluated samples: the test dataset '
                                 f'must hold {" and ".join(self.needed_splits)}')
        return self.compute({name: split for name, split in splits.items() if len(split)})


def concatenate(results: list) -> tuple[torch.Tensor, torch.Tensor]:
    """Batches of features ``(n, C)`` and annotations ``(n, 4)`` as one tensor each; no batch gives ``(0, 0)``."""
    if not results:
        return torch.zeros(0, 0), torch.zeros(0, 4, dtype=torch.int64)
    if len(results) == 1:
        return results[0]
    feats, ids = zip(*results)
    return torch.cat(feats), torch.cat(ids)


def gather_rows(feats: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Concatenate the rows of all processes on the main one, in the order of their ranks; others get none.

    Processes may hold different numbers of rows; these are exchanged in pieces, so that no process holds more than its
    own and a piece of the others.

    Raises:
        ValueError: On every process, if there are no rows at all or the numbers of channels differ.
    """
    shapes = torch.stack(all_gather(torch.tensor(feats.shape))).tolist()
    channels = sorted({width for length, width in shapes if length})
    if len(channels) != 1:
        raise ValueError('every process must bring features of the same length, got (rows, channels) = '
                         f'{", ".join(str(tuple(shape)) for shape in shapes)}')
    if len(shapes) == 1:
        return feats, ids
    lengths = [length for length, _ in shapes]
    starts = [sum(lengths[:rank]) for rank in range(len(lengths))]
    return tuple(_gather(rows, width, lengths, starts) for rows, width in ((feats, channels[0]), (ids, ids.shape[1])))


def _gather(rows: torch.Tensor, width: int, lengths: list[int], starts: list[int]) -> torch.Tensor:
    whole = rows.new_empty(sum(lengths) if is_main_process() else 0, width)
    for first in range(0, max(lengths), ROWS_AT_A_TIME):
        piece = rows.new_zeros(min(ROWS_AT_A_TIME, max(lengths) - first), width)
        own = rows[first:first + len(piece)]
        if len(own):
            piece[:len(own)] = own
        # Unlike mmengine's other collectives, its gather leaves the tensor where it is, and NCCL knows no CPU.
        for part, length, start in zip(gather(piece.to(get_comm_device())), lengths, starts):
            count = min(len(piece), max(0, length - first))
            whole[start + first:start + first + count] = part[:count].to(whole.device)
    return whole


def unique_samples(feats: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Order rows by ``sample_idx`` and keep the first of each.

    Raises:
        ValueError: If rows of one ``sample_idx`` disagree on identity, camera or split.
    """
    order = torch.argsort(ids[:, 0], stable=True)
    ordered = ids[order]
    repeats = torch.zeros(len(order), dtype=torch.bool)
    repeats[1:] = ordered[1:, 0] == ordered[:-1, 0]
    differs = torch.zeros_like(repeats)
    differs[1:] = repeats[1:] & (ordered[1:] != ordered[:-1]).any(1)
    if differs.any():
        row = int(differs.nonzero()[0])
        pairs = [f'pid {pid}, camid {camid}, {SPLITS[split]}'
                 for _, pid, camid, split in ordered[row - 1:row + 1].tolist()]
        raise ValueError(f'sample_idx must be unique in the dataset, but {int(ordered[row, 0])} belongs to two '
                         f'images: ({pairs[0]}) and ({pairs[1]})')
    if repeats.any():
        MMLogger.get_current_instance().debug(f'{int(repeats.sum())} repeated samples are left out of the evaluation')
    elif torch.equal(order, torch.arange(len(order))):
        return feats, ids  # in order already: nothing is copied
    return feats[order[~repeats]], ordered[~repeats]


def _rows_of(feats: torch.Tensor, ids: torch.Tensor, split: int) -> Features:
    chosen = (ids[:, 3] == split).nonzero()[:, 0]
    together = len(chosen) > 0 and int(chosen[-1] - chosen[0]) + 1 == len(chosen)
    rows = slice(int(chosen[0]), int(chosen[-1]) + 1) if together else chosen
    sample_idx, pids, camids, _ = ids[rows].T
    unknown = camids == NO_CAMERA
    if unknown.any() and not unknown.all():
        raise ValueError(f'camid is None for {int(unknown.sum())} of {len(camids)} {SPLITS[split]} images, sample_idx '
                         f'{named_rows(unknown.numpy())}: cameras must be known for all images of a split or for none')
    return Features(feats[rows], pids, None if unknown.any() else camids, sample_idx)
