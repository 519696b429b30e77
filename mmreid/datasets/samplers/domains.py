"""How often, and in which order, the datasets of a merged one and their rows take their turns."""

from collections.abc import Sequence, Sized

import numpy as np


def read_domains(dataset: Sized, sampler: str) -> np.ndarray:
    """Domain of each row, int64.

    Raises:
        TypeError: If the dataset does not tell; the message says what does.
    """
    if not hasattr(dataset, 'get_domains'):
        raise TypeError(f'{sampler} needs a dataset with get_domains(), such as MergedReIDDataset; '
                        f'{type(dataset).__name__} has none')
    return np.asarray(dataset.get_domains())


def domain_name(dataset: Sized, domain: int) -> str:
    """A domain in words, with the name of its dataset where that is known."""
    name = getattr(dataset, 'domain_names', {}).get(domain)
    return f'domain {domain}' + (f' ({name})' if name else '')


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Split a number proportionally into integers of at least 1 (largest remainders, the first of equals).

    Args:
        total (int): Number to split, at least ``len(shares)``.
        shares (Sequence[float]): Positive sizes.

    Returns:
        List[int]: One number for each share; they sum to ``total``.
    """
    shares = np.asarray(shares, dtype=np.float64)
    numbers = np.ones(len(shares), dtype=np.int64)
    is_small = np.zeros(len(shares), dtype=bool)
    while True:  # what is due less than one gets one, the others divide the rest
        due = (total - is_small.sum()) * shares / shares[~is_small].sum()
        if not (due[~is_small] < 1).any():
            break
        is_small |= due < 1
    large = np.flatnonzero(~is_small)
    numbers[large] = np.floor(due[large]).astype(np.int64)
    remainders = np.round(due[large] - numbers[large], 9)  # equals stay equal
    numbers[large[np.argsort(-remainders, kind='stable')[:total - numbers.sum()]]] += 1
    return numbers.tolist()


def interleave(numbers: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Order in which ``numbers[i]`` turns of each ``i`` follow one another evenly.

    The turns of one are equally far apart, from a start that is drawn; so any stretch holds each in its proportion.

    Args:
        numbers (Sequence[int]): Turns of each.
        rng (np.random.Generator): Draws the starts.

    Returns:
        np.ndarray: Indices into ``numbers``, int64, ``sum(numbers)`` of them.
    """
    starts = rng.random(len(numbers))
    times = np.concatenate([(np.arange(number) + start) / number for number, start in zip(numbers, starts)])
    return np.repeat(np.arange(len(numbers)), numbers)[np.argsort(times, kind='stable')]


def shuffled_rounds(rows: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``number`` rows in rounds of all of them, each in a new order, so that none is a round ahead of another."""
    permutations = [rng.permutation(rows) for _ in range(-(-number // len(rows)))]
    return np.concatenate(permutations)[:number]
