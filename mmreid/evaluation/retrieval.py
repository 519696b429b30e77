"""From features to a report: post-processing, ranking under several protocols, and what each stage took."""

import logging
from collections.abc import Sequence
from typing import Optional, Union

import torch
from mmengine.logging import print_log

from mmreid.utils.features import named_rows
from mmreid.utils.memory import Cost, available_bytes, measured

from .functional import evaluate_protocols, make_labels
from .functional.feature_distances import FeatureDistances
from .functional.labels import check_lengths
from .functional.protocols import Protocol, unique_protocols
from .functional.ranking import distance_blocks
from .post_processing import PostProcessor
from .report import RetrievalReport
from .retrieval_data import RetrievalData

#: Features move to a CUDA device if it has this many times their size left.
DEVICE_HEADROOM = 3


def evaluate_retrieval(data: RetrievalData,
                       protocols: Sequence[Union[str, Protocol]],
                       post_processors: Sequence[PostProcessor] = (),
                       topk: Sequence[int] = (1, 5, 10, 20),
                       *,
                       trapezoid: bool = False,
                       device: Optional[Union[str, torch.device]] = None,
                       stages: Optional[dict[str, Cost]] = None) -> RetrievalReport:
    """Post-process features, rank, and score under several protocols in one pass.

    Args:
        data (RetrievalData): Features of queries and gallery.
        protocols (Sequence[str | Protocol]): Rows of the protocol table, or their names.
        post_processors (Sequence[PostProcessor]): Applied one after another. Defaults to none.
        topk (Sequence[int]): Ranks of the CMC curve to report. Defaults to (1, 5, 10, 20).
        trapezoid (bool): Whether to add ``mAP-trapezoid``. Defaults to False.
        device (str | torch.device, optional): Where to compute. Defaults to None: a CUDA device if there is one with
            room for the features, else the CPU.
        stages (dict[str, Cost], optional): Cost of earlier stages, to be reported. Defaults to none.

    Raises:
        ValueError: If features or labels do not fit, a protocol needs cameras that are missing, or no query has a
            match (the message says why).
    """
    protocols = unique_protocols(protocols)
    device = torch.device(device) if device is not None else fitting_device(data)
    stages, num_gallery = dict(stages or {}), len(data.gallery)
    warn_of_zero_features(data)
    data = data.to(device)
    for number, post_process in enumerate(post_processors):
        with measured(device) as stages[_stage_name(post_process, number, post_processors)]:
            data = post_process(data)
    query, gallery = data.query, data.gallery
    labels = make_labels(query.pids, gallery.pids, query.camids, gallery.camids, protocols)
    check_lengths(labels, len(query), len(gallery), 'the features')
    with measured(device) as stages['ranking']:
        if data.distances is not None:
            blocks = distance_blocks(data.distances, labels)
        else:
            blocks = FeatureDistances(query.feats, gallery.feats, data.metric)
        results = evaluate_protocols(blocks, labels, protocols, topk, trapezoid=trapezoid, device=device)
    steps = [step.describe() if isinstance(step, PostProcessor) else getattr(step, '__name__', str(step))
             for step in post_processors]
    return RetrievalReport(
        protocols={protocol.name: protocol for protocol in protocols}, results=results, metric=data.metric,
        post_processing=steps, num_queries=len(query), num_gallery=num_gallery, num_ranked=len(gallery),
        device=str(device), stages=stages)


def fitting_device(data: RetrievalData) -> torch.device:
    """A CUDA device if there is one with room for the features, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device('cpu')
    size = sum(split.feats.nbytes for split in data.splits().values())
    device = torch.device('cuda', torch.cuda.current_device())
    return device if DEVICE_HEADROOM * size < available_bytes(device) else torch.device('cpu')


def warn_of_zero_features(data: RetrievalData) -> None:
    """Log which images have a feature of zeros only, which has cosine 0 with everything.

    Raises:
        ValueError: If all queries or all gallery images have.
    """
    for name, split in data.splits().items():
        zero = torch.cat([(rows == 0).all(1) for rows in split.feats.split(4096)]).cpu().numpy()
        if zero.all():
            raise ValueError(f'all {len(zero)} features of the {name} images are zero: nothing can be ranked. Was a '
                             'trained checkpoint loaded?')
        if zero.any():
            print_log(f'the features of some {name} images are zero, {named_rows(zero)}: their cosine with everything '
                      'is 0', logger='current', level=logging.WARNING)


def _stage_name(step: PostProcessor, number: int, steps: Sequence[PostProcessor]) -> str:
    name = getattr(step, '__name__', type(step).__name__)
    names = [getattr(other, '__name__', type(other).__name__) for other in steps]
    return name if names.count(name) == 1 else f'{name} ({number + 1})'
