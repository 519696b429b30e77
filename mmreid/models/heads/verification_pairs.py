"""Pairs of images of a batch, balanced between same and different person."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from mmreid.structures import ReIDDataSample

_POSITIVE, _NEGATIVE, _NONE = 0, 1, 2


class PairCounts(NamedTuple):
    """Numbers of different positive and negative pairs in a batch."""

    positives: int
    negatives: int


class VerificationPairs(NamedTuple):
    """Rows of the members of each pair, ``(P,)`` int64 each, the positive half first; ``same`` ``(P,)`` bool."""

    first: torch.Tensor
    second: torch.Tensor
    same: torch.Tensor


def image_numbers(data_samples: Sequence[ReIDDataSample]) -> torch.Tensor:
    """A number ``(N,)`` for each row, equal for rows that show the same image (``sample_idx``).

    A row that does not say which image it shows counts as one of its own.
    """
    return torch.tensor([sample.get('sample_idx', -1 - row) for row, sample in enumerate(data_samples)],
                        dtype=torch.int64)


def count_pairs(labels: torch.Tensor, images: torch.Tensor | None = None, ordered: bool = True) -> PairCounts:
    """Count the different pairs of :func:`verification_pairs`; waits for the device of the labels."""
    kinds = _kinds(labels, images, ordered)
    return PairCounts(int((kinds == _POSITIVE).sum()), int((kinds == _NEGATIVE).sum()))


def verification_pairs(labels: torch.Tensor,
                       images: torch.Tensor | None = None,
                       ordered: bool = True,
                       counts: PairCounts | None = None,
                       generator: torch.Generator | None = None) -> VerificationPairs:
    """All positive and all negative pairs of a batch, the rarer kind duplicated at random until both are equally many.

    Section 5.2 of `Deep Transfer Learning for Person Re-identification <https://arxiv.org/abs/1611.05244>`_: 32
    identities with 2 images each have 64 positive and 3,968 negative ordered pairs, hence 3,968 of each. Every pair
    occurs at least once, in the order of its rows; duplicates are drawn with replacement and follow. Two rows of the
    same image (a sampler fills up with replacement) are no pair.

    Args:
        labels (torch.Tensor): Classes ``(N,)`` int64; rows of -1 are in no pair.
        images (torch.Tensor, optional): Number of the image of each row ``(N,)``; see :func:`image_numbers`. Defaults
            to None: each row its own.
        ordered (bool): Whether (i, j) and (j, i) are two pairs; otherwise i < j. Defaults to True.
        counts (PairCounts, optional): What :func:`count_pairs` gives for the same labels. With it nothing waits for
            the device. Defaults to None: counted here.
        generator (torch.Generator, optional): On the device of the labels. Defaults to None: the default one.

    Returns:
        VerificationPairs: ``2 * max(positives, negatives)`` pairs; none where there are no pairs at all.

    Raises:
        ValueError: If there are pairs of one kind only.
    """
    counts = count_pairs(labels, images, ordered) if counts is None else counts
    if min(counts) == 0 < max(counts):
        raise ValueError(f'a batch has {counts.positives} positive and {counts.negatives} negative pairs: nothing to '
                         'balance')
    # Sorted by kind, stably: positives and then negatives, each in the order of rows, with lengths known beforehand.
    places = _kinds(labels, images, ordered).flatten().argsort(stable=True)
    size = max(counts)
    chosen = torch.cat([_fill_up(places[:counts.positives], counts.positives, size, generator),
                        _fill_up(places[counts.positives:sum(counts)], counts.negatives, size, generator)])
    same = torch.arange(len(chosen), device=labels.device) < size
    return VerificationPairs(chosen // max(1, len(labels)), chosen % max(1, len(labels)), same)


def _kinds(labels: torch.Tensor, images: torch.Tensor | None, ordered: bool) -> torch.Tensor:
    """Kind ``(N, N)`` uint8 of every pair of rows."""
    labelled = labels != -1
    pair = labelled[:, None] & labelled[None, :]
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if images is not None:
        # Numbers of images may repeat across data sets that were joined by other means, but not within a person.
        itself = itself | (same & (images[:, None] == images[None, :]))
    pair = pair & ~itself
    if not ordered:
        pair = pair.triu(1)
    kinds = torch.full_like(pair, _NONE, dtype=torch.uint8)
    return kinds.masked_fill(pair & same, _POSITIVE).masked_fill(pair & ~same, _NEGATIVE)


def _fill_up(places: torch.Tensor, count: int, size: int, generator: torch.Generator | None) -> torch.Tensor:
    if count == size:
        return places
    extra = torch.randint(count, (size - count, ), device=places.device, generator=generator)
    return torch.cat([places, places[extra]])
