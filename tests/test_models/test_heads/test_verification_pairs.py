from collections import Counter

import pytest
import torch

from mmreid.models.heads import count_pairs, image_numbers, verification_pairs
from mmreid.structures import ReIDDataSample


def brute_force(labels, images, ordered):
    """Positive and negative pairs by a double loop, in the order of rows."""
    positives, negatives = [], []
    for i in range(len(labels)):
        for j in range(len(labels)):
            if i == j or labels[i] == -1 or labels[j] == -1 or not ordered and i > j:
                continue
            if labels[i] != labels[j]:
                negatives.append((i, j))
            elif images[i] != images[j]:
                positives.append((i, j))
    return positives, negatives


CASES = {
    'two each': ([0, 0, 1, 1, 2, 2], None),
    'mixed order': ([2, 0, 1, 0, 2, 1, 0], None),
    'without labels': ([0, -1, 0, 1, -1, 1], None),
    'a repeated image': ([0, 0, 0, 1, 1, 2, 2], [5, 5, 6, 7, 8, 9, 9]),
    'numbers that two identities share': ([0, 0, 1, 1], [0, 1, 0, 1]),
    'more positives than negatives': ([0, 0, 0, 0, 1], None),
    'equally many': ([0, 0, 1], [1, 2, 3]),
}


@pytest.mark.parametrize('ordered', [True, False])
@pytest.mark.parametrize('case', CASES)
def test_against_a_double_loop(case, ordered):
    labels, images = CASES[case]
    positives, negatives = brute_force(labels, images or range(len(labels)), ordered)
    images = None if images is None else torch.tensor(images)
    torch.manual_seed(0)
    first, second, same = verification_pairs(torch.tensor(labels), images, ordered)
    assert count_pairs(torch.tensor(labels), images, ordered) == (len(positives), len(negatives))
    size = max(len(positives), len(negatives))
    assert len(first) == len(second) == 2 * size and same.tolist() == [True] * size + [False] * size
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert all(i != j for i, j in pairs)
    for found, expected in ((pairs[:size], positives), (pairs[size:], negatives)):
        assert found[:len(expected)] == expected  # each once, in order
        assert set(found[len(expected):]) <= set(expected)


@pytest.mark.parametrize('ordered, positives, negatives', [(True, 64, 3968), (False, 32, 1984)])
def test_the_numbers_of_the_paper(ordered, positives, negatives):
    labels = torch.arange(32).repeat_interleave(2)
    assert count_pairs(labels, None, ordered) == (positives, negatives)
    _, _, same = verification_pairs(labels, None, ordered)
    assert int(same.sum()) == int((~same).sum()) == negatives


def test_duplicates_are_drawn_evenly():
    labels = torch.arange(32).repeat_interleave(2)
    first, second, same = verification_pairs(labels, generator=torch.Generator().manual_seed(0))
    times = Counter(zip(first[same].tolist(), second[same].tolist(), strict=True))
    assert len(times) == 64 and min(times.values()) >= 1
    # 3,904 duplicates over 64 pairs: chi-square with 63 degrees of freedom, far beyond its 99.99 % point
    expected = 3904 / 64
    assert sum((count - 1 - expected) ** 2 / expected for count in times.values()) < 120
    again = verification_pairs(labels, generator=torch.Generator().manual_seed(0))
    other = verification_pairs(labels, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, again.first) and not torch.equal(first, other.first)


def test_counts_that_are_known_change_nothing():
    labels = torch.tensor([0, 0, 1, 1, -1])
    counts = count_pairs(labels)
    pairs = [verification_pairs(labels, counts=c, generator=torch.Generator().manual_seed(0)) for c in (None, counts)]
    assert all(torch.equal(a, b) for a, b in zip(*pairs, strict=True))


@pytest.mark.parametrize('labels', [[-1, -1], [-1], [3]])
def test_no_pairs(labels):
    assert [len(rows) for rows in verification_pairs(torch.tensor(labels))] == [0, 0, 0]


@pytest.mark.parametrize('labels', [[0, 1, 2], [4, 4, 4]])
def test_pairs_of_one_kind(labels):
    with pytest.raises(ValueError, match='nothing to balance'):
        verification_pairs(torch.tensor(labels))


def test_numbers_of_images():
    samples = [ReIDDataSample(metainfo=dict(sample_idx=7)), ReIDDataSample(), ReIDDataSample(),
               ReIDDataSample(metainfo=dict(sample_idx=7))]
    numbers = image_numbers(samples).tolist()
    assert numbers[0] == numbers[3] == 7 and len(set(numbers)) == 3 and not {numbers[1], numbers[2]} & {0, 7}
