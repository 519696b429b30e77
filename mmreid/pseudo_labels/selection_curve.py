"""How much a threshold selects, to choose one without labels: Fig. 5(a) of PUL."""

import math
from collections.abc import Sequence
from typing import Optional

import numpy as np
import torch

from mmreid.utils.features import Array, as_matrix, as_tensor

from .base import PseudoLabels
from .exemplars import SELECTS, exemplar_similarities

#: Quantiles of the similarities that are logged.
QUANTILES = (.05, .25, .5, .75, .95)
#: Share of the images that PUL selects in its first round (31.8 % with the threshold 0.85, section IV-D).
FIRST_FRACTION = .32


def check_threshold(threshold: float) -> float:
    """Return the threshold if it is one.

    Raises:
        ValueError: If it is no number between -1 and 1.
    """
    if isinstance(threshold, (bool, str)) or not -1 < threshold < 1:
        raise ValueError('the threshold is compared with inner products of unit vectors: it must lie between -1 and 1, '
                         f'both excluded, got {threshold!r}')
    return float(threshold)


def check_select(select: str) -> str:
    """Return ``select`` if it is known.

    Raises:
        ValueError: If it is not.
    """
    if select not in SELECTS:
        raise ValueError(f'select must be one of {", ".join(SELECTS)}, got {select!r}')
    return select


def selection_curve(feats: Array, result: PseudoLabels, thresholds: Sequence[float],
                    select: Optional[str] = None) -> np.ndarray:
    """Share of the images that self-paced k-means would select with other thresholds, on the same clusters.

    Args:
        feats (np.ndarray | torch.Tensor): Features ``(N, C)`` that were labelled.
        result (PseudoLabels): What :class:`SelfPacedKMeans` found, with any threshold or none.
        thresholds (Sequence[float]): Values of lambda.
        select (str, optional): As in :class:`SelfPacedKMeans`. Defaults to None: as it was there.

    Returns:
        np.ndarray: A share of N for each threshold, float64.

    Raises:
        ValueError: If a threshold is out of its range, or the labels do not belong to the features or have no
            exemplars.

    Example:
        >>> thresholds = np.arange(0, 1, .05)
        >>> shares = selection_curve(feats, SelfPacedKMeans(750)(feats), thresholds)
    """
    select = check_select(result.info.get('select', 'own') if select is None else select)
    thresholds = np.array([check_threshold(value) for value in thresholds])
    feats = as_tensor(as_matrix(feats, 'feats'))
    if len(feats) != len(result.labels):
        raise ValueError(f'{len(result.labels):,} labels do not belong to {len(feats):,} features')
    if not len(result.exemplars) or (result.exemplars < 0).any() or (result.labels < 0).any():
        raise ValueError('a selection curve needs a label for each image and an exemplar for each class, as '
                         'SelfPacedKMeans gives them')
    labels, exemplars = (torch.from_numpy(values).to(feats.device) for values in (result.labels, result.exemplars))
    similarities = exemplar_similarities(feats, labels, exemplars, select)
    # A cluster of which nothing is similar enough keeps one image.
    best = similarities.new_full((len(exemplars), ), -torch.inf).scatter_reduce_(0, labels, similarities, 'amax')
    shares = [int((similarities > value).sum() + (best <= value).sum()) / len(feats) for value in thresholds.tolist()]
    return np.array(shares)


def similarity_quantiles(others: torch.Tensor) -> list[list[float]]:
    """Pairs of a quantile and the similarity there; ``others`` are the images that are no exemplars. Empty where there
    are none."""
    if not len(others):
        return []
    values = np.quantile(others.double().cpu().numpy(), QUANTILES)
    return [[share, float(value)] for share, value in zip(QUANTILES, values)]


def suggested_threshold(similarities: torch.Tensor, fraction: float = FIRST_FRACTION) -> float:
    """The largest threshold of two decimals that selects at least a share of the images."""
    place = max(0, math.ceil(fraction * len(similarities)) - 1)
    value = float(similarities.sort(descending=True).values[place])
    threshold = math.ceil(value * 100) / 100 - .01  # below the value, also where it has two decimals itself
    return round(min(max(threshold, -.99), .99), 2)


def only_exemplars_warning(num_clusters: int, similarities: torch.Tensor, others: torch.Tensor,
                           threshold: float) -> str:
    """What to say where each cluster keeps nothing but its exemplar.

    Args:
        num_clusters (int): K.
        similarities (torch.Tensor): Of all images to their exemplars.
        others (torch.Tensor): Of those that are no exemplars.
        threshold (float): That selected none of these.
    """
    if len(similarities) == num_clusters:
        return (f'each of the {num_clusters:,} images is a cluster of its own, so nothing can be learnt about what two '
                'images of a person have in common: choose fewer clusters')
    quantiles = ', '.join(f'{share:.0%} {value:.3f}' for share, value in similarity_quantiles(others))
    suggested = suggested_threshold(similarities)
    share = float((similarities > suggested).double().mean())
    return (f'no image but one of each of the {num_clusters:,} clusters is selected: no other is more similar to an '
            f'exemplar than threshold={threshold:g}. Quantiles of the similarities: {quantiles}. '
            f'threshold={suggested:g} would select {share:.0%}; PUL starts with about {FIRST_FRACTION:.0%}')
