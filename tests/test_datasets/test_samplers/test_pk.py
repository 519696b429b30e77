from collections import Counter

import numpy as np
import pytest

from mmreid.datasets import PKSampler


class Labelled:
    """A dataset that is nothing but labels."""

    def __init__(self, labels):
        self.labels = np.asarray(labels, dtype=np.int64)

    def __len__(self):
        return len(self.labels)

    def get_labels(self):
        return self.labels


def uneven(num_ids=13, seed=0):
    """Identities with 1 to 9 images, in random order, some rows without a label."""
    labels = [label for label in range(num_ids) for _ in range(1 + label % 9)] + [-1] * 5
    return Labelled(np.random.default_rng(seed).permutation(labels))


def batches(sampler):
    rows = np.asarray([int(index) for index in sampler])
    assert len(rows) == len(sampler)
    return rows.reshape(-1, sampler.batch_size)


def set_ranks(monkeypatch, rank, world_size):
    monkeypatch.setattr('mmreid.datasets.samplers.base.get_dist_info', lambda: (rank, world_size))


@pytest.mark.parametrize('p, k', [(4, 4), (5, 2), (13, 3), (1, 1)])
def test_batches_hold_p_identities_with_k_images(p, k):
    dataset = uneven()
    for batch in batches(PKSampler(dataset, p, k, seed=0)):
        counts = Counter(dataset.labels[batch].tolist())
        assert -1 not in counts and len(counts) == p and set(counts.values()) == {k}


def test_images_repeat_only_when_there_are_too_few():
    dataset, k = uneven(), 4
    sizes = Counter(dataset.labels.tolist())
    for epoch in range(5):
        sampler = PKSampler(dataset, 4, k, seed=0)
        sampler.set_epoch(epoch)
        for batch in batches(sampler):
            for label in set(dataset.labels[batch].tolist()):
                rows = batch[dataset.labels[batch] == label]
                assert len(set(rows.tolist())) == min(k, sizes[label])


def test_identity_with_one_image_is_drawn():
    dataset = Labelled([0] + [1, 2, 3] * 10)
    rows = batches(PKSampler(dataset, 4, 4, seed=0))
    assert (rows == 0).sum(axis=1).tolist() == [4]


def test_epoch_is_about_one_pass_over_the_images():
    dataset = Labelled(np.repeat(np.arange(50), 8))
    sampler = PKSampler(dataset, 5, 4, seed=0)
    rows = batches(sampler).reshape(-1)
    assert len(sampler) == 400 and np.array_equal(np.sort(rows), np.arange(400))


def test_an_epoch_over_the_identities():
    """751 identities in batches of 4: 187 batches, and no identity twice."""
    dataset = Labelled(np.repeat(np.arange(751), 17))
    sampler = PKSampler(dataset, 4, 4, seed=0, epoch_over='identities')
    found = batches(sampler)
    assert found.shape == (187, 16)
    turns = Counter(dataset.labels[found.reshape(-1)].tolist())
    assert len(turns) == 748 and set(turns.values()) == {4}
    sampler.set_epoch(1)
    assert not np.array_equal(batches(sampler), found)
    assert len(PKSampler(dataset, 4, 4, seed=0)) == 16 * (751 * 17 // 16)
    with pytest.raises(ValueError, match="epoch_over must be one of .'images', 'identities'."):
        PKSampler(dataset, 4, 4, epoch_over='pids')


def test_turns_differ_by_at_most_one():
    dataset = uneven(num_ids=17)
    rows = batches(PKSampler(dataset, 5, 2, seed=0)).reshape(-1)
    turns = Counter(dataset.labels[rows].tolist())
    assert set(turns) <= set(range(17))
    assert max(turns.values()) - min(turns.get(label, 0) for label in range(17)) <= 2  # one turn is two images


def test_small_dataset_still_gives_a_batch():
    assert len(PKSampler(Labelled([0, 1, 2]), 3, 4, seed=0)) == 12


def test_ranks_draw_disjoint_identities(monkeypatch):
    dataset, shares = uneven(num_ids=16), []
    for rank in range(2):
        set_ranks(monkeypatch, rank, 2)
        shares.append(batches(PKSampler(dataset, 4, 3, seed=5)))
    assert shares[0].shape == shares[1].shape
    for one, two in zip(*shares, strict=True):
        ids = set(dataset.labels[one].tolist()), set(dataset.labels[two].tolist())
        assert len(ids[0]) == len(ids[1]) == 4 and not ids[0] & ids[1]


def test_stream_is_a_function_of_seed_and_epoch():
    def stream(seed, epoch, start=0):
        sampler = PKSampler(uneven(), 4, 4, seed=seed)
        sampler.set_epoch(epoch)
        sampler.set_start(start)
        return [(int(index), index.seed) for index in sampler]

    assert stream(1, 0) == stream(1, 0)
    assert stream(1, 0) != stream(1, 1) and stream(1, 0) != stream(2, 0)
    assert stream(1, 3, start=16) == stream(1, 3)[16:]


def test_labels_are_read_at_each_iteration():
    dataset = Labelled(np.repeat(np.arange(6), 4))
    sampler = PKSampler(dataset, 2, 2, seed=0)
    assert len(sampler) == 24
    dataset.labels = np.where(dataset.labels < 3, dataset.labels, -1)
    assert len(sampler) == 12
    assert set(dataset.labels[batches(sampler)].reshape(-1)) <= {0, 1, 2}
    dataset.labels = np.full(24, -1)
    with pytest.raises(ValueError, match='has 0'):
        iter(sampler)


def test_too_few_identities(monkeypatch):
    with pytest.raises(ValueError, match=r'num_pids=14 x 1 .* = 14 different identities .* has 13.* at most 13'):
        PKSampler(uneven(), 14, 4, seed=0)
    set_ranks(monkeypatch, 0, 2)
    with pytest.raises(ValueError, match=r'num_pids=7 x 2 .* = 14 .* has 13.* at most 6'):
        PKSampler(uneven(), 7, 4, seed=0)


def test_bad_arguments():
    with pytest.raises(ValueError, match='positive'):
        PKSampler(uneven(), 0, 4, seed=0)
    with pytest.raises(TypeError, match='get_labels'):
        PKSampler(range(4), 2, 2, seed=0)
