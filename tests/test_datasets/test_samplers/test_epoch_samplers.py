import numpy as np
import pytest

from mmreid.datasets import EpochSampler, EvalSampler, SeededIndex, ShuffleSampler
from mmreid.registry import DATA_SAMPLERS


def set_ranks(monkeypatch, rank, world_size):
    monkeypatch.setattr('mmreid.datasets.samplers.base.get_dist_info', lambda: (rank, world_size))


def stream(sampler):
    return [(int(index), index.seed) for index in sampler]


def over_ranks(monkeypatch, cls, number, world_size):
    found = []
    for rank in range(world_size):
        set_ranks(monkeypatch, rank, world_size)
        sampler = cls(range(number), seed=3)
        found.append([int(index) for index in sampler])
        assert len(sampler) == len(found[-1])
    return found


def test_shuffle_draws_each_row_once():
    sampler = ShuffleSampler(range(50), seed=1)
    rows = list(sampler)
    assert sorted(rows) == list(range(50)) and rows != sorted(rows)
    assert all(isinstance(index, SeededIndex) for index in rows)


def test_stream_is_a_function_of_seed_and_epoch():
    streams = {}
    for seed, epoch in ((1, 0), (1, 1), (2, 0), (2, 1)):
        one, two = (ShuffleSampler(range(50), seed=seed) for _ in range(2))
        one.set_epoch(epoch), two.set_epoch(epoch)
        two.set_start(3), list(two)
        assert stream(one) == stream(two) == stream(one)
        streams[seed, epoch] = tuple(stream(one))
    assert len(set(streams.values())) == 4
    assert len({seed for found in streams.values() for _, seed in found}) == 200


def test_start_skips_once():
    sampler = ShuffleSampler(range(50), seed=1)
    whole = stream(sampler)
    sampler.set_start(17)
    assert len(sampler) == 50
    assert stream(sampler) == whole[17:]
    assert stream(sampler) == whole


def test_start_belongs_to_the_iteration_not_to_its_first_draw():
    sampler = ShuffleSampler(range(9), seed=1)
    sampler.set_start(5)
    first, second = iter(sampler), iter(sampler)
    assert (len(list(second)), len(list(first))) == (9, 4)


def test_bad_starts():
    sampler = ShuffleSampler(range(5), seed=1)
    with pytest.raises(ValueError, match='negative'):
        sampler.set_start(-1)
    sampler.set_start(6)
    with pytest.raises(ValueError, match='sample 6 of an epoch of 5'):
        iter(sampler)


@pytest.mark.parametrize('number, world_size', [(10, 1), (10, 2), (10, 3), (2, 5)])
def test_shuffle_over_ranks_covers_everything(monkeypatch, number, world_size):
    shares = over_ranks(monkeypatch, ShuffleSampler, number, world_size)
    assert len({len(share) for share in shares}) == 1
    rows = [row for share in shares for row in share]
    assert set(rows) == set(range(number))
    assert max(np.bincount(rows)) - min(np.bincount(rows)) <= 1


@pytest.mark.parametrize('number, world_size', [(10, 1), (10, 2), (10, 3), (2, 5)])
def test_eval_is_in_order_and_padded_by_wrapping(monkeypatch, number, world_size):
    shares = over_ranks(monkeypatch, EvalSampler, number, world_size)
    interleaved = np.asarray(shares).T.reshape(-1)
    assert np.array_equal(interleaved, np.arange(len(interleaved)) % number)


def test_eval_is_unseeded():
    assert all(type(index) is int for index in EvalSampler(range(5), seed=7))


def test_seeds_differ_between_ranks(monkeypatch):
    seeds = set()
    for rank in range(2):
        set_ranks(monkeypatch, rank, 2)
        seeds |= {index.seed for index in ShuffleSampler(range(100), seed=0)}
    assert len(seeds) == 100


def test_missing_seed_is_drawn():
    assert ShuffleSampler(range(5)).seed >= 0


def test_are_registered():
    for name in ('ShuffleSampler', 'EvalSampler'):
        sampler = DATA_SAMPLERS.build(dict(type=name), default_args=dict(dataset=range(4), seed=1))
        assert isinstance(sampler, EpochSampler) and len(sampler) == 4
