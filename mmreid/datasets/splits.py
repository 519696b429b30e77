"""Seeded draws for datasets that are split at random, the same on every machine."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar('Item', int, str)


def draw(items: Iterable[Item], number: int, *, seed: int = 0, split_id: int = 0,
         key: Sequence[int] = ()) -> list[Item]:
    """Draw some of the distinct items without replacement, from ``np.random.default_rng([seed, split_id, *key])``.

    The items are sorted before the draw, so that neither the order in which files are listed nor the hashing of sets
    matters.

    Args:
        items (Iterable[int] or Iterable[str]): Identities, or the names of images.
        number (int): How many to draw.
        seed (int): Seed of a series of splits. Defaults to 0.
        split_id (int): Number of the split in the series. Defaults to 0.
        key (Sequence[int]): Tells apart the draws of one split, for example those of each identity and camera.
            Defaults to none.

    Returns:
        list: The drawn items, sorted.

    Raises:
        ValueError: If there are fewer items than ``number``, or if it is below 1.

    Example:
        >>> draw(range(1, 9), 4, split_id=0), draw(range(1, 9), 4, split_id=1)
        ([3, 4, 5, 7], [2, 4, 7, 8])
    """
    ordered = sorted(set(items))
    if not 1 <= number <= len(ordered):
        raise ValueError(f'cannot draw {number} of {len(ordered)} items')
    order = np.random.default_rng([seed, split_id, *key]).permutation(len(ordered))
    return sorted(ordered[position] for position in order[:number])


def check_split(dataset: str, split_id: int, seed: int, num_splits: int) -> None:
    """Check the options of a random split.

    Raises:
        ValueError: If ``split_id`` is not in ``range(num_splits)`` or the seed is negative.
    """
    if split_id not in range(num_splits):
        raise ValueError(f'{dataset}: split_id must be one of 0 to {num_splits - 1}, got {split_id!r}')
    if seed < 0:
        raise ValueError(f'{dataset}: seed must not be negative, got {seed!r}')


def draw_shots(images: Iterable[dict], *, seed: int = 0, split_id: int = 0) -> set[str]:
    """Draw one image of each identity in each camera, independently of who and what else there is.

    Args:
        images (Iterable[dict]): With ``img_path``, ``pid`` and ``camid``.
        seed (int): Seed of a series of splits. Defaults to 0.
        split_id (int): Number of the split in the series. Defaults to 0.

    Returns:
        set[str]: Paths of the drawn images.
    """
    shots: dict[tuple[int, int], list[str]] = {}
    for image in images:
        shots.setdefault((image['pid'], image['camid']), []).append(image['img_path'])
    return {draw(paths, 1, seed=seed, split_id=split_id, key=key)[0] for key, paths in shots.items()}
