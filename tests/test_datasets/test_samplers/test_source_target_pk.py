from collections import Counter

import numpy as np
import pytest

from mmreid.datasets.samplers import PKSampler, SourceTargetPKSampler


class Labels:
    def __init__(self, labels):
        self.labels = np.asarray(labels)

    def __len__(self):
        return len(self.labels)

    def get_labels(self):
        return self.labels


#: 10 identities of 4 images, then 25 images without a label, 2 of them in front.
DATA = Labels([-1, -1, *np.repeat(np.arange(10), 4).tolist(), *[-1] * 23])


def batches(sampler, epoch=0):
    sampler.set_epoch(epoch)
    return np.asarray([int(row) for row in sampler]).reshape(-1, sampler.batch_size)


def test_batches():
    sampler = SourceTargetPKSampler(DATA, 4, 2, num_unlabelled=5, seed=0)
    assert sampler.batch_size == 13 and len(sampler) == 5 * 13
    for rows in batches(sampler):
        labels = DATA.labels[rows]
        assert sorted(Counter(labels[:8].tolist()).values()) == [2] * 4 and (labels[8:] == -1).all()
    unlabelled = batches(sampler)[:, 8:].ravel().tolist()
    assert sorted(unlabelled) == np.flatnonzero(DATA.labels < 0).tolist(), '25 of 25, each once'
    assert not np.array_equal(batches(sampler, 0), batches(sampler, 1))
    assert np.array_equal(batches(sampler, 3), batches(SourceTargetPKSampler(DATA, 4, 2, 5, seed=0), 3))


def test_half_of_the_batch_by_default_and_rounds():
    sampler = SourceTargetPKSampler(DATA, 5, 2, seed=1)
    assert sampler.num_unlabelled == 10 and sampler.batch_size == 20
    counts = Counter(batches(sampler)[:, 10:].ravel().tolist())  # 4 batches: 40 of 25 images
    assert len(counts) == 25 and set(counts.values()) == {1, 2}


@pytest.mark.parametrize('epoch_over', ['images', 'identities'])
def test_the_labelled_part_is_that_of_the_plain_sampler(epoch_over):
    options = dict(num_pids=3, num_instances=2, seed=4, epoch_over=epoch_over)
    plain, both = PKSampler(DATA, **options), SourceTargetPKSampler(DATA, num_unlabelled=7, **options)
    assert np.array_equal(batches(both, 2)[:, :6], batches(plain, 2))


def test_ranks_share_the_images():
    samplers = []
    for rank in range(2):
        sampler = SourceTargetPKSampler(DATA, 2, 2, num_unlabelled=2, seed=0)
        sampler.rank, sampler.world_size = rank, 2
        samplers.append(sampler)
    first, second = (batches(sampler) for sampler in samplers)
    assert len(first) == len(second) == 5
    drawn = [rows[:, 4:].ravel().tolist() for rows in (first, second)]
    assert not set(drawn[0]) & set(drawn[1])
    for one, other in zip(first, second, strict=True):
        assert not set(DATA.labels[one[:4]]) & set(DATA.labels[other[:4]])


def test_goes_on_inside_an_epoch():
    sampler = SourceTargetPKSampler(DATA, 4, 2, num_unlabelled=5, seed=0)
    whole = [(int(row), row.seed) for row in sampler]
    sampler.set_start(2 * 13)
    assert [(int(row), row.seed) for row in sampler] == whole[26:]


def test_bad_input():
    with pytest.raises(ValueError, match='num_unlabelled must be positive, got 0'):
        SourceTargetPKSampler(DATA, 2, 2, num_unlabelled=0)
    with pytest.raises(ValueError, match='every image of the dataset has one'):
        SourceTargetPKSampler(Labels([0, 0, 1, 1]), 2, 2)
    with pytest.raises(ValueError, match='Lower num_pids'):
        SourceTargetPKSampler(DATA, 11, 2)
