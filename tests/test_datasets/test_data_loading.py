"""The stream of augmented batches through mmengine's data loader."""

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmreid.datasets import SeededIndex

AUGMENT = [dict(type='LoadImage'), dict(type='RandomFlip', prob=0.5),
           dict(type='mmpretrain.RandomCrop', crop_size=(128, 64), padding=5),
           dict(type='mmpretrain.RandomErasing', mode='rand'), dict(type='PackReIDInputs')]
SHUFFLE = dict(type='ShuffleSampler')
PK = dict(type='PKSampler', num_pids=4, num_instances=2)


def build(sampler, workers=0, seed=0, **dataset):
    dataset = dict(type='SyntheticReID', num_train_pids=6, num_cams=2, num_images=3, pipeline=AUGMENT, **dataset)
    cfg = dict(batch_size=8, num_workers=workers, drop_last=True, sampler=dict(sampler), persistent_workers=workers > 0,
               dataset=dataset)
    with DefaultScope.overwrite_default_scope('mmreid'):
        return Runner.build_dataloader(cfg, seed=seed)


def stream(loader, epoch=0, start=0):
    loader.sampler.set_epoch(epoch)
    loader.sampler.set_start(start)
    return [(torch.stack(batch['inputs']), [sample.sample_idx for sample in batch['data_samples']],
             [sample.label for sample in batch['data_samples']]) for batch in loader]


def equal(one, two):
    return len(one) == len(two) and all(
        torch.equal(a[0], b[0]) and a[1:] == b[1:] for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize('sampler', [SHUFFLE, PK])
def test_workers_do_not_change_the_stream(sampler):
    alone, helped = build(sampler, 0), build(sampler, 2)
    for epoch in (0, 1):
        np.random.seed(epoch)
        torch.manual_seed(epoch)
        expected = stream(alone, epoch)
        assert len(expected) == 4 and equal(stream(helped, epoch), expected)
    assert not equal(stream(alone, 0), expected)


def test_cache_does_not_change_the_stream():
    assert equal(stream(build(SHUFFLE, cache=True)), stream(build(SHUFFLE, cache=False)))


@pytest.mark.parametrize('sampler', [SHUFFLE, PK])
@pytest.mark.parametrize('workers', [0, 2])
def test_start_resumes_the_stream(sampler, workers):
    expected = stream(build(sampler), epoch=2)
    loader = build(sampler, workers)
    stream(loader, epoch=1)
    assert equal(stream(loader, epoch=2, start=16), expected[2:])
    assert equal(stream(loader, epoch=2), expected)


def test_seed_changes_the_stream():
    assert not equal(stream(build(SHUFFLE, seed=0)), stream(build(SHUFFLE, seed=1)))


def test_main_process_draws_are_independent_of_loading():
    draws = []
    for workers in (0, 2):
        loader = build(SHUFFLE, workers)
        torch.manual_seed(0)
        stream(loader)
        np.random.seed(0)
        stream(loader)
        draws.append((np.random.rand(), int(torch.initial_seed())))
    assert draws[0] == draws[1]


def test_batch_sampler_keeps_the_seeds():
    loader = build(SHUFFLE)
    assert all(isinstance(index, SeededIndex) for batch in loader.batch_sampler for index in batch)
