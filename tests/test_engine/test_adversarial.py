"""Gradient reversal in short real trainings: its schedule, resume, what is read of the target, two processes."""

import copy
import datetime
import math

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.hooks import Hook

from mmreid.datasets import SourceTargetDataset, SyntheticReID
from mmreid.engine.hooks import GradientReversalHook
from mmreid.models.layers import GradientReversal
from mmreid.registry import DATASETS, HOOKS
from mmreid.utils.checkpoint import read_checkpoint
from mmreid.utils.distributed import close_process_group
from tests.test_engine.toy import toy_config, toy_runner
from tests.test_utils.test_checkpoint import same

ITERATIONS = 6
SOURCE = dict(type='SyntheticReID', domain='a', num_train_pids=6, num_cams=2, num_images=2, size=(32, 16))
TARGET = dict(SOURCE, domain='b', num_train_pids=4)
HEADS = dict(_delete_=True, id=dict(type='ClassificationHead', in_channels=8, num_classes=None, dropout=0.3),
             domain=dict(type='DomainHead', in_channels=8, hidden_channels=(8, ), dropout=0.2))


@DATASETS.register_module()
class PoisonedTarget(SyntheticReID):
    """The same pictures under other names: whoever reads these trains something else."""

    def load_image(self, info):
        return super().load_image(dict(info, pid=6000 - info['pid']))

    def load_records(self):
        return [dict(record, pid=6000 - record['pid']) for record in super().load_records()]


@HOOKS.register_module()
class ReversalWitness(Hook):
    """The coefficient, domains and labels of each batch, and what was logged of it."""
    priority = 'BELOW_NORMAL'

    def __init__(self):
        self.coefficients, self.domains, self.labels, self.logged = [], [], [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        layers = [m for m in runner.model.modules() if isinstance(m, GradientReversal)]
        self.coefficients.append([layer.coefficient for layer in layers])
        self.domains.append([sample.domain for sample in data_batch['data_samples']])
        self.labels.append([sample.label for sample in data_batch['data_samples']])
        self.logged.append({key: float(value) for key, value in outputs.items()})


def options(target=TARGET, hook=None, processes=1, **more):
    pipeline = toy_config('.').pipeline
    dataset = dict(_delete_=True, type='SourceTargetDataset', source=SOURCE, target=target, pipeline=pipeline)
    given = dict(
        model__neck=dict(_delete_=True, type='ReductionNeck', in_channels=8, feat_channels=None), model__heads=HEADS,
        train_cfg=dict(_delete_=True, by_epoch=False, max_iters=ITERATIONS, val_interval=100),
        train_dataloader__batch_size=8, train_dataloader__sampler=dict(type='DomainBalancedSampler'),
        train_dataloader__dataset=dataset, param_scheduler=None,
        val_dataloader=None, val_cfg=None, val_evaluator=None,
        default_hooks__checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=-1),
        default_hooks__logger=dict(type='LoggerHook', interval=1), log_processor=dict(by_epoch=False, window_size=1),
        custom_hooks=[dict(dict(type='GradientReversalHook'), **(hook or {})), dict(type='ReversalWitness')])
    if processes > 1:
        given['launcher'] = 'pytorch'
    return {**given, **more}


def train(folder, **more):
    runner = toy_runner(folder, **options(**more))
    runner.train()
    return runner, next(hook for hook in runner.hooks if isinstance(hook, ReversalWitness))


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    return folder, *train(folder)


def weights(folder, number=ITERATIONS):
    return read_checkpoint(folder / f'iter_{number}.pth')['state_dict']


def test_coefficient_follows_the_schedule(whole):
    _, _, witness = whole
    expected = [2 / (1 + math.exp(-10 * i / ITERATIONS)) - 1 for i in range(ITERATIONS)]
    assert witness.coefficients == [[pytest.approx(value)] for value in expected] and expected[0] == 0
    assert [logged['domain.coefficient'] for logged in witness.logged] == pytest.approx(expected)


def test_batches_and_losses(whole):
    """Half and half; only the source has labels; the classification loss is over the source alone."""
    _, runner, witness = whole
    for domains, labels, logged in zip(witness.domains, witness.labels, witness.logged, strict=True):
        assert sorted(domains) == [0] * 4 + [1] * 4
        assert all((label >= 0) == (domain == 0) for label, domain in zip(labels, domains, strict=True))
        assert logged['loss'] == pytest.approx(logged['id.loss_ce'] + logged['domain.loss_domain'], rel=1e-5)
        assert 0 <= logged['domain.accuracy'] <= 100
    assert runner.model.heads['id'].num_classes == 6


def test_resume_equals_an_uninterrupted_training(whole, tmp_path):
    folder, _, witness = whole
    runner = toy_runner(tmp_path, **options(load_from=str(folder / 'iter_2.pth'), resume=True))
    runner.train()
    again = next(hook for hook in runner.hooks if isinstance(hook, ReversalWitness))
    assert again.coefficients == witness.coefficients[2:] and again.logged == witness.logged[2:]
    assert same(weights(folder), weights(tmp_path))


def test_labels_of_the_target_change_nothing(whole, tmp_path):
    folder, *_ = whole
    poisoned = dict(TARGET, type='PoisonedTarget')
    assert DATASETS.build(dict(poisoned, type='mmreid.PoisonedTarget')).get_pids().min() > 5000
    train(tmp_path, target=poisoned)
    assert same(weights(folder), weights(tmp_path))


def test_the_target_moves_the_network_only_through_the_reversal(tmp_path):
    """With coefficient 0 it is trained as without the domain head, bit for bit; the domain head learns all the same."""
    heads = copy.deepcopy(HEADS)
    heads['domain']['dropout'] = 0.  # which would draw random numbers that the other dropout draws without it
    results = {}
    for name, hook, phase in (('off', {}, dict(heads_off=('domain', ))), ('zero', dict(coefficient=0), {}),
                              ('one', dict(coefficient=1), {})):
        given = options(hook=dict(schedule='constant', **hook), model__heads=heads)
        given['custom_hooks'].append(dict(type='PhaseHook', by_epoch=False, phases=[dict(name='all', **phase)]))
        toy_runner(tmp_path / name, **given).train()
        results[name] = weights(tmp_path / name)
    shared = [key for key in results['off'] if not key.startswith('heads.domain')]
    assert all(torch.equal(results['off'][key], results['zero'][key]) for key in shared)
    moved = {key for key in shared if not torch.equal(results['zero'][key], results['one'][key])}
    assert {key for key in shared if key.startswith('backbone') and key.endswith('weight')} <= moved
    learnt = [key for key in results['off'] if key.startswith('heads.domain')]
    assert all(not torch.equal(results['off'][key], results['zero'][key]) for key in learnt)


def test_a_checkpoint_of_the_source_keeps_its_classifier(tmp_path):
    """Its people are those of the source: nothing but the domain head starts new."""
    plain = options(custom_hooks=[], train_cfg=dict(_delete_=True, by_epoch=False, max_iters=1, val_interval=100))
    plain['train_dataloader__dataset'] = dict(SOURCE, _delete_=True, split='train', pipeline=toy_config('.').pipeline)
    plain['train_dataloader__sampler'] = dict(type='ShuffleSampler')
    plain['model__heads'] = {key: value for key, value in HEADS.items() if key != 'domain'}
    toy_runner(tmp_path / 'source', **plain).train()
    runner = toy_runner(tmp_path / 'both', **options(load_from=str(tmp_path / 'source' / 'iter_1.pth')))
    runner.load_or_resume()
    before, now = weights(tmp_path / 'source', 1), runner.model.state_dict()
    assert all(torch.equal(value, now[key]) for key, value in before.items())
    assert {key.rpartition('.layers')[0] for key in set(now) - set(before)} == {'heads.domain'}


def test_by_epoch_and_constant():
    hook = GradientReversalHook('constant', coefficient=0.3)
    assert hook.coefficient_at(0) == hook.coefficient_at(1) == 0.3
    rising = [GradientReversalHook(coefficient=2, gamma=5).coefficient_at(p / 10) for p in range(11)]
    assert rising == sorted(rising) and rising[0] == 0
    assert rising[-1] == pytest.approx(2 * math.tanh(2.5))  # 2 / (1 + exp(-x)) - 1 = tanh(x / 2)


def test_coefficient_by_epoch(tmp_path):
    _, witness = train(tmp_path, hook=dict(by_epoch=True),
                       train_cfg=dict(_delete_=True, by_epoch=True, max_epochs=2, val_interval=10),
                       default_hooks__checkpoint=dict(type='SafeCheckpointHook', interval=1),
                       log_processor=dict(by_epoch=True, window_size=1))
    assert witness.coefficients[:5] == [[0]] * 5
    assert witness.coefficients[5:] == [[pytest.approx(math.tanh(2.5))]] * 5


def test_several_targets(tmp_path):
    heads = copy.deepcopy(HEADS)
    heads['domain']['num_domains'] = 3
    other = dict(SOURCE, domain='b', num_train_pids=3, seed=5)
    _, witness = train(tmp_path, target=[TARGET, other], model__heads=heads, train_dataloader__batch_size=9)
    assert all(sorted(domains) == [0] * 3 + [1] * 3 + [2] * 3 for domains in witness.domains)
    assert all(math.isfinite(logged['loss']) for logged in witness.logged)


@pytest.mark.parametrize('more, text', [
    (dict(model__heads={key: value for key, value in HEADS.items() if key != 'domain'}), 'no gradient is reversed'),
    (dict(hook=dict(by_epoch=True)), 'by_epoch=False'),
    (dict(target=[TARGET, dict(TARGET, seed=5)]), r'domains \[0, 1, 2\].*num_domains=3'),
    (dict(train_dataloader__dataset=dict(SOURCE, _delete_=True, split='train', pipeline=[]),), 'one domain only'),
])
def test_refused_before_training(tmp_path, more, text):
    if 'train_dataloader__dataset' in more:
        more['train_dataloader__dataset']['pipeline'] = toy_config('.').pipeline
    with pytest.raises(ValueError, match=text):
        train(tmp_path, **more)
    assert not list(tmp_path.glob('iter_*.pth'))


@pytest.mark.parametrize('arguments, text', [
    (dict(schedule='linear'), 'schedule must be one of'), (dict(coefficient=-1), 'at least 0'),
    (dict(gamma=0), 'gamma must be positive')])
def test_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        GradientReversalHook(**arguments)


def _two_processes(rank, folder, address):
    torch.set_num_threads(1)
    import os
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=address)
    dist.init_process_group('gloo', rank=rank, world_size=2, timeout=datetime.timedelta(seconds=60))
    _, witness = train(folder, processes=2, train_dataloader__batch_size=4)
    torch.save(dict(coefficients=witness.coefficients, domains=witness.domains), folder / f'witness_{rank}.pt')
    close_process_group()


def test_two_processes(tmp_path):
    import socket
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = str(free.getsockname()[1])
    mp.spawn(_two_processes, (tmp_path, address), nprocs=2)
    seen = [torch.load(tmp_path / f'witness_{rank}.pt', weights_only=True) for rank in range(2)]
    assert seen[0]['coefficients'] == seen[1]['coefficients']
    assert all(sorted(domains) == [0, 0, 1, 1] for one in seen for domains in one['domains'])


def test_the_dataset_is_the_one_that_is_named():
    assert DATASETS.get('SourceTargetDataset') is SourceTargetDataset
