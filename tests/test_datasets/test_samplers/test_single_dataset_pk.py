import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch

from mmreid.datasets import PKSampler
from mmreid.datasets.samplers import DomainBalancedSampler, SingleDatasetPKSampler
from mmreid.datasets.samplers.domains import apportion, interleave
from mmreid.models import TripletLoss
from mmreid.registry import DATA_SAMPLERS


class Merged:
    """A dataset that is nothing but labels and domains."""

    domain_names = {1: 'Small'}

    def __init__(self, labels, domains):
        self.labels = np.asarray(labels, dtype=np.int64)
        self.domains = np.asarray(domains, dtype=np.int64)

    def __len__(self):
        return len(self.labels)

    def get_labels(self):
        return self.labels

    def get_domains(self):
        return self.domains


def several(sizes=((40, 6), (10, 2), (20, 5)), seed=0, unlabelled=7):
    """Domains of (identities, images of each), rows in random order."""
    rows, label = [], 0
    for domain, (num_pids, num_images) in enumerate(sizes):
        rows += [(label + pid, domain) for pid in range(num_pids) for _ in range(num_images)]
        label += num_pids
        rows += [(-1, domain)] * unlabelled
    rows = np.random.default_rng(seed).permutation(rows)
    return Merged(rows[:, 0], rows[:, 1])


def batches(sampler):
    rows = np.asarray([int(index) for index in sampler])
    assert len(rows) == len(sampler)
    return rows.reshape(-1, sampler.batch_size)


def turns(sampler):
    """Domain of each batch."""
    found = sampler.dataset.domains[batches(sampler)]
    assert (found == found[:, :1]).all()
    return found[:, 0]


def set_ranks(monkeypatch, rank, world_size):
    monkeypatch.setattr('mmreid.datasets.samplers.base.get_dist_info', lambda: (rank, world_size))


# ---- how the turns are shared ------------------------------------------------------------------------------------


@pytest.mark.parametrize('total, shares, expected', [
    (10, [1], [10]), (10, [1, 1], [5, 5]), (3, [1, 1], [2, 1]), (10, [6, 3, 1], [6, 3, 1]), (10, [97, 2, 1], [8, 1, 1]),
    (3, [1000, 1, 1], [1, 1, 1]), (7, [3, 3, 1], [3, 3, 1]), (11, [.5, .25, .25], [5, 3, 3]), (9, [1, 1, 1], [3, 3, 3]),
])
def test_apportion(total, shares, expected):
    assert apportion(total, shares) == expected


def test_apportion_is_off_by_less_than_one():
    rng = np.random.default_rng(0)
    for _ in range(200):
        shares = rng.integers(1, 1000, rng.integers(1, 8))
        total = int(rng.integers(len(shares), 500))
        numbers = np.asarray(apportion(total, shares))
        assert numbers.sum() == total and (numbers >= 1).all()
        assert (np.diff(numbers[np.argsort(shares, kind='stable')]) >= -1).all()
        exact = total * shares / shares.sum()
        if exact.min() >= 1:
            assert np.abs(numbers - exact).max() < 1


@pytest.mark.parametrize('numbers', [(8, 2), (30, 5, 1), (7, 7, 7), (1,)])
def test_turns_are_spread_evenly(numbers):
    for seed in range(5):
        order = interleave(numbers, np.random.default_rng(seed))
        assert np.bincount(order, minlength=len(numbers)).tolist() == list(numbers)
        for which, number in enumerate(numbers):
            done = np.cumsum(order == which)
            due = np.arange(1, len(order) + 1) * number / len(order)
            assert np.abs(done - due).max() <= len(numbers)


# ---- batches of one dataset --------------------------------------------------------------------------------------


@pytest.mark.parametrize('p, k', [(4, 4), (10, 2), (1, 1)])
def test_batches_hold_p_identities_of_one_dataset(p, k):
    dataset = several()
    sampler = SingleDatasetPKSampler(dataset, p, k, seed=0)
    assert set(turns(sampler)) == {0, 1, 2}
    for batch in batches(sampler):
        counts = Counter(dataset.labels[batch].tolist())
        assert -1 not in counts and len(counts) == p and set(counts.values()) == {k}


def test_batches_by_size_and_continuous_switching():
    dataset = several(((60, 8), (30, 4), (15, 8)), unlabelled=50)  # 480, 120 and 120 labelled images
    sampler = SingleDatasetPKSampler(dataset, 5, 4, seed=0)
    for epoch in range(4):
        sampler.set_epoch(epoch)
        found = turns(sampler)
        assert np.bincount(found).tolist() == [24, 6, 6]  # 720 // 20 batches, 4 : 1 : 1
        for domain in (1, 2):
            gaps = np.diff(np.flatnonzero(found == domain))
            assert gaps.min() >= 4 and gaps.max() <= 8  # every sixth batch, up to the other datasets in between
        assert max(len(run) for run in ''.join(map(str, found)).replace('2', '1').split('1')) <= 6


def test_an_epoch_is_about_one_pass_over_each_dataset():
    dataset = several(((60, 8), (20, 8)), unlabelled=0)
    rows = batches(SingleDatasetPKSampler(dataset, 5, 4, seed=3)).reshape(-1)
    assert np.array_equal(np.sort(rows), np.arange(640))


def test_small_dataset_gets_a_batch():
    dataset = several(((100, 8), (4, 1)))
    found = np.bincount(turns(SingleDatasetPKSampler(dataset, 4, 4, seed=0)))
    assert found.tolist() == [804 // 16 - 1, 1]
    assert len(SingleDatasetPKSampler(several(((4, 1), (4, 1), (4, 1))), 4, 4, seed=0)) == 3 * 16


def test_identity_with_few_images_gives_each_of_them():
    dataset = several(((20, 6), (10, 2)))
    for batch in batches(SingleDatasetPKSampler(dataset, 5, 4, seed=0)):
        for label in set(dataset.labels[batch].tolist()):
            rows = batch[dataset.labels[batch] == label]
            assert len(set(rows.tolist())) == (4 if label < 20 else 2)


def test_one_dataset_is_a_pk_sampler():
    dataset = several(((20, 6), ))
    found = batches(SingleDatasetPKSampler(dataset, 5, 4, seed=0)), batches(PKSampler(dataset, 5, 4, seed=0))
    assert found[0].shape == found[1].shape
    assert Counter(dataset.labels[found[0]].reshape(-1)) == Counter(dataset.labels[found[1]].reshape(-1))


def test_ranks_take_the_same_dataset_and_distinct_identities(monkeypatch):
    dataset, shares = several(((40, 6), (16, 2), (20, 5))), []
    for rank in range(2):
        set_ranks(monkeypatch, rank, 2)
        sampler = SingleDatasetPKSampler(dataset, 8, 3, seed=5)
        sampler.set_epoch(2)
        shares.append((turns(sampler), batches(sampler)))
    assert np.array_equal(shares[0][0], shares[1][0])
    for one, two in zip(shares[0][1], shares[1][1], strict=True):
        ids = set(dataset.labels[one].tolist()), set(dataset.labels[two].tolist())
        assert len(ids[0]) == len(ids[1]) == 8 and not ids[0] & ids[1]


def test_stream_is_a_function_of_seed_and_epoch():
    def stream(seed, epoch, start=0):
        sampler = SingleDatasetPKSampler(several(), 4, 4, seed=seed)
        sampler.set_epoch(epoch)
        sampler.set_start(start)
        return [(int(index), index.seed) for index in sampler]

    assert stream(1, 0) == stream(1, 0)
    assert stream(1, 0) != stream(1, 1) and stream(1, 0) != stream(2, 0)
    assert stream(1, 3, start=16) == stream(1, 3)[16:]


def test_stream_is_the_same_in_every_process():
    code = ('import sys; from tests.test_datasets.test_samplers.test_single_dataset_pk import several\n'
            'from mmreid.datasets.samplers import SingleDatasetPKSampler\n'
            'print(list(map(int, SingleDatasetPKSampler(several(), 4, 4, seed=3))), file=sys.stderr)')
    found = [subprocess.run([sys.executable, '-c', code], env=dict(os.environ, PYTHONHASHSEED=seed), text=True,
                            capture_output=True, check=True, cwd=os.path.abspath(f'{__file__}/../../../..'))
             .stderr.splitlines()[-1] for seed in ('1', '77')]
    assert found[0] == found[1] == str(list(map(int, SingleDatasetPKSampler(several(), 4, 4, seed=3))))


def test_labels_are_read_at_each_iteration():
    dataset = several(((8, 4), (8, 4)), unlabelled=0)
    sampler = SingleDatasetPKSampler(dataset, 4, 2, seed=0)
    assert len(sampler) == 64
    dataset.labels = np.where(dataset.domains == 1, dataset.labels, -1)
    assert len(sampler) == 32 and set(turns(sampler)) == {1}
    dataset.labels = np.full(64, -1)
    with pytest.raises(ValueError, match='has 0'):
        iter(sampler)


def test_too_few_identities_names_the_dataset(monkeypatch):
    match = r'num_pids=12 x 1 .* = 12 .* in a batch; domain 1 \(Small\) has 10. Lower num_pids to at most 10'
    with pytest.raises(ValueError, match=match):
        SingleDatasetPKSampler(several(), 12, 4, seed=0)
    set_ranks(monkeypatch, 0, 3)
    with pytest.raises(ValueError, match=r'= 21 .*domain 1 \(Small\) has 10; domain 2 has 20. .* at most 3'):
        SingleDatasetPKSampler(several(), 7, 4, seed=0)


def test_bad_arguments():
    with pytest.raises(ValueError, match='positive'):
        SingleDatasetPKSampler(several(), 0, 4, seed=0)
    with pytest.raises(TypeError, match=r'SingleDatasetPKSampler needs a dataset with get_domains\(\)'):
        SingleDatasetPKSampler(range(4), 2, 2, seed=0)
    assert DATA_SAMPLERS.get('SingleDatasetPKSampler') is SingleDatasetPKSampler


def test_copies_do_not_hide_the_real_pair():
    """Two images and K = 4: the batch-hard loss is that of the pair, each image weighted by how often it comes."""
    torch.manual_seed(0)
    images = torch.randn(4, 6)  # a, b of identity 0; c, d of identity 1
    labels = torch.tensor([0, 0, 1, 1])
    loss = TripletLoss(margin=50.)
    copies = [0, 1, 0, 0, 2, 3, 2, 3]
    with_copies, plain = loss(images[copies], labels[copies]), torch.cdist(images, images)
    gaps = torch.stack([plain[0, 1], plain[1, 0], plain[2, 3], plain[3, 2]]) - torch.stack(
        [plain[0, 2:].min(), plain[1, 2:].min(), plain[2, :2].min(), plain[3, :2].min()]) + 50
    assert torch.allclose(with_copies, gaps[copies].mean(), atol=1e-4)


def test_identity_with_a_single_image_still_pushes():
    """K copies of one image: the positive has distance 0 and no gradient, the negative has one."""
    image = torch.tensor([[1., 0.], [0., 1.]], requires_grad=True)
    loss = TripletLoss(margin=3.)(image[[0, 0, 1, 1]], torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(3 - 2**.5, abs=1e-5)
    assert torch.isfinite(image.grad).all() and image.grad.abs().sum() > 0


# ---- balanced by domain ------------------------------------------------------------------------------------------


@pytest.mark.parametrize('weights, shares', [(None, (1, 1, 1)), ({0: 2, 1: 1, 2: 1}, (2, 1, 1))])
def test_every_batch_has_its_shares(weights, shares):
    dataset = several(((60, 6), (5, 4), (20, 5)), unlabelled=0)  # 360, 20 and 100 rows
    sampler = DomainBalancedSampler(dataset, weights, seed=0)
    rows = np.asarray(list(map(int, sampler)))
    assert len(rows) == len(sampler) == 480
    found = dataset.domains[rows]
    assert np.bincount(found).tolist() == [480 * share // sum(shares) for share in shares]
    for batch in found.reshape(-1, 24):
        assert np.abs(np.bincount(batch, minlength=3) - 24 * np.asarray(shares) / sum(shares)).max() <= 1


def test_rows_of_a_domain_take_turns():
    dataset = several(((60, 6), (5, 4)), unlabelled=0)
    counts = np.bincount(list(map(int, DomainBalancedSampler(dataset, seed=0))), minlength=380)
    assert set(counts[dataset.domains == 0]) == {0, 1}
    assert set(counts[dataset.domains == 1]) == {9, 10}  # 190 draws of 20 rows


def test_ranks_share_a_balanced_epoch(monkeypatch):
    dataset, shares = several(((60, 6), (50, 5)), unlabelled=0), []
    for rank in range(2):
        set_ranks(monkeypatch, rank, 2)
        sampler = DomainBalancedSampler(dataset, seed=4)
        shares.append(list(map(int, sampler)))
        assert len(shares[-1]) == len(sampler) == 305
        assert np.abs(np.diff(np.bincount(dataset.domains[shares[-1]]))) <= 1
    assert sorted(np.bincount(sum(shares, []))[dataset.domains == 0].tolist())[-1] == 1


def test_balanced_stream_is_a_function_of_seed_and_epoch():
    def stream(seed, epoch):
        sampler = DomainBalancedSampler(several(), seed=seed)
        sampler.set_epoch(epoch)
        return [(int(index), index.seed) for index in sampler]

    assert stream(1, 0) == stream(1, 0) and stream(1, 0) != stream(1, 1) and stream(1, 0) != stream(2, 0)


def test_fewer_rows_than_domains_of_a_rank():
    assert len(list(DomainBalancedSampler(Merged([0, 1, 2], [0, 1, 2]), {0: 100, 1: 1, 2: 1}, seed=0))) == 3


def test_bad_weights():
    with pytest.raises(ValueError, match=r'must name the domains of the dataset, \[0, 1, 2\], got \[0, 1\]'):
        DomainBalancedSampler(several(), {0: 1, 1: 1}, seed=0)
    with pytest.raises(ValueError, match='weights must be positive'):
        DomainBalancedSampler(several(), {0: 1, 1: 0, 2: 1}, seed=0)
    with pytest.raises(TypeError, match=r'DomainBalancedSampler needs a dataset with get_domains\(\)'):
        DomainBalancedSampler(range(4), seed=0)
