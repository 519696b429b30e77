"""Rounds of pseudo labels in two processes (gloo), beside one process."""

import datetime
import json

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.hooks import Hook
from torch import nn

from mmreid.engine.hooks import PseudoLabelHook
from mmreid.pseudo_labels import PseudoLabeller
from mmreid.registry import HOOKS, MODELS, TASK_UTILS
from mmreid.utils.checkpoint import read_checkpoint
from mmreid.utils.distributed import close_process_group
from tests import shortcuts
from tests.test_engine.test_pseudo_labels import Interrupted, hook_of, options
from tests.test_engine.toy import toy_runner
from tests.test_utils.test_checkpoint import same

IMAGES = 27
#: People and cameras that make an odd number of images.
ODD = dict(num_train_pids=9, num_cams=3, num_images=1)


@MODELS.register_module()
class PlainMaps(nn.Module):
    """Two convolutions; nothing depends on what else is in the batch, so that two halves of it equal the whole."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU())

    def forward(self, image):
        return self.layers(image),


PLAIN = dict(_delete_=True, type='EmbeddingNet', backbone=dict(type='PlainMaps'),
             neck=dict(type='ReductionNeck', in_channels=24, feat_channels=None),
             data_preprocessor=dict(type='ReIDDataPreprocessor', mean=[127.5] * 3, std=[64.0] * 3, bgr_to_rgb=True),
             heads=dict(id=dict(type='ClassificationHead', in_channels=24, num_classes=None)))


@HOOKS.register_module()
class RankWitness(Hook):
    """What each process holds when a round begins, and its batch-norm statistics around the end of an epoch."""
    priority = 'VERY_HIGH'

    def __init__(self):
        self.rounds, self.own, self.at_extraction = [], [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0 and runner.epoch % 2 == 0:
            network, hook = bare(runner), hook_of(runner, PseudoLabelHook)
            self.rounds.append(dict(
                labels=hook._labels['labels'].copy(), mask=hook._labels['mask'].copy(),
                rows=hook._dataset(runner).get_rows().copy(), records=json.loads(json.dumps(list(hook.records))),
                classifier={key: value.clone() for key, value in network.heads['id'].classifier.state_dict().items()}))

    def after_train_epoch(self, runner):
        self.own.append(statistics(runner))


def bare(runner):
    return getattr(runner.model, 'module', runner.model)


def statistics(runner):
    return {key: value.clone() for key, value in bare(runner).state_dict().items() if 'running' in key}


@TASK_UTILS.register_module()
class Broken(PseudoLabeller):
    """Fails in a way that has nothing to do with its images."""

    def label(self, feats, camids):
        raise TypeError('a mistake in the labeller')


def rounds_of(processes, **more):
    """Options for the same batches of 4 images in one process or in two."""
    given = options(labeller=dict(type='SelfPacedKMeans', num_clusters=5, threshold=0.95), data=ODD,
                    train_cfg__max_epochs=6, train_dataloader__batch_size=4 // processes, val_dataloader=None,
                    val_cfg=None, val_evaluator=None, **more)
    dataset = given['train_dataloader__dataset']
    dataset['pipeline'] = dataset['test_pipeline']  # nothing is drawn at random for each process
    given['custom_hooks'] = [*given['custom_hooks'], dict(type='RankWitness')]
    if processes > 1:
        given['launcher'] = 'pytorch'
    return given


def plain(folder, processes):
    given = rounds_of(processes, model=PLAIN)
    runner = toy_runner(folder / f'plain{processes}', **given)
    assert len(runner.train_dataloader.dataset) == IMAGES
    runner.train()
    return dict(rounds=hook_of(runner, RankWitness).rounds, weights=bare(runner).state_dict())


def with_batch_norm(folder, processes):
    """The features of a pool come from one network."""
    runner = toy_runner(folder / 'norm', **rounds_of(processes))
    witness, labeller = hook_of(runner, RankWitness), PseudoLabelHook._label

    def label(hook, *args):
        witness.at_extraction.append(statistics(runner))
        labeller(hook, *args)

    PseudoLabelHook._label = label
    try:
        runner.train()
    finally:
        PseudoLabelHook._label = labeller
    return dict(own=witness.own, at_extraction=witness.at_extraction, weights=bare(runner).state_dict())


def resumed(folder, processes):
    """Stopped between two rounds and inside one."""
    for stop in (-2, -3):
        given = rounds_of(processes, model=PLAIN)
        stopped = dict(given, custom_hooks=[*given['custom_hooks'], dict(type='StopAfter', iterations=stop)])
        work_dir = folder / f'parts{-stop}'
        with pytest.raises(Interrupted):
            toy_runner(work_dir, **stopped).train()
        toy_runner(work_dir, resume=True, **given).train()


def broken(folder, processes):
    """Every process ends, the first one with the mistake itself."""
    outcomes = {}
    for labeller in ('Broken', 'SelfPacedKMeans'):
        given = rounds_of(processes, model=PLAIN)
        given['custom_hooks'][0]['labeller'] = dict(type=labeller)
        if labeller == 'SelfPacedKMeans':
            given['custom_hooks'][0]['labeller'].update(num_clusters=IMAGES + 1)
        try:
            toy_runner(folder / labeller, **given).train()
        except Exception as error:
            outcomes[labeller] = f'{type(error).__name__}: {error}'
    return outcomes


def work(rank, folder, processes, cases):
    torch.set_num_threads(1)
    shortcuts.install()
    if processes > 1:
        dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=processes,
                                timeout=datetime.timedelta(seconds=100))
    torch.save({case.__name__: case(folder, processes) for case in cases}, f'{folder}/{processes}_{rank}.pt')
    if processes > 1:
        close_process_group()


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    """By number of processes, what each of them found."""
    folder, found = tmp_path_factory.mktemp('processes'), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('CUDA_VISIBLE_DEVICES', '')
        patch.setenv('OMP_NUM_THREADS', '1')
        for processes, cases in ((1, (plain, )), (2, (plain, with_batch_norm, resumed, broken))):
            if processes == 1:
                work(0, folder, 1, cases)
            else:
                mp.start_processes(work, args=(folder, processes, cases), nprocs=processes, start_method='spawn')
            found[processes] = [torch.load(folder / f'{processes}_{rank}.pt', weights_only=False)
                                for rank in range(processes)]
    return folder, found


def test_two_processes_select_what_one_does(outcomes):
    folder, found = outcomes
    alone, *others = [outcome['plain']['rounds'] for outcome in (*found[1], *found[2])]
    assert len(alone) == 3
    for number, expected in enumerate(alone):
        # Two processes make as many batches as one where the last is dropped in both.
        assert expected['mask'].sum() % 4 < 3
        for rounds in others:
            for key in ('labels', 'mask', 'rows'):
                assert np.array_equal(rounds[number][key], expected[key]), (number, key)
    one, two = (json.loads((folder / f'plain{processes}' / 'rounds.json').read_text()) for processes in (1, 2))
    for left, right in zip(one, two, strict=True):
        assert left['exemplar_rows'] == right['exemplar_rows'] and left['num_selected'] == right['num_selected']
        assert left['quality'] == right['quality']
    # The rounds are not all the same: what is equal above depends on the training in both processes.
    assert any(not np.array_equal(alone[0][key], later[key]) for later in alone[1:] for key in ('labels', 'mask'))


def test_all_processes_hold_the_same_network(outcomes):
    _, found = outcomes
    zero, one = (outcome['plain'] for outcome in found[2])
    for left, right in zip(zero['rounds'], one['rounds'], strict=True):
        assert same(left['classifier'], right['classifier']) and left['records'] == right['records']
    for number, expected in enumerate(found[1][0]['plain']['rounds']):  # and that of one process
        assert same(zero['rounds'][number]['classifier'], expected['classifier'])
    assert same(zero['weights'], one['weights'])
    starts = [entry['classifier']['weight'] for entry in zero['rounds']]
    assert not torch.equal(starts[0], starts[1])


def test_features_of_a_pool_come_from_one_network(outcomes):
    """Each process gathers batch-norm statistics of its own images; before features are extracted, they are shared."""
    _, found = outcomes
    zero, one = (outcome['with_batch_norm'] for outcome in found[2])
    assert len(zero['at_extraction']) == 3
    for left, right in zip(zero['at_extraction'], one['at_extraction'], strict=True):
        assert same(left, right)
    assert not same(zero['own'][1], one['own'][1])
    mean = {key: (value + one['own'][1][key]) / 2 for key, value in zero['own'][1].items()}
    for key, value in zero['at_extraction'][1].items():
        assert torch.allclose(value, mean[key])


def test_resumed_in_two_processes(outcomes):
    folder, _ = outcomes
    whole = read_checkpoint(folder / 'plain2' / 'epoch_6.pth')
    for parts in ('parts2', 'parts3'):
        resumed_one = read_checkpoint(folder / parts / 'epoch_6.pth')
        for key in ('state_dict', 'optimizer'):
            assert same(whole[key], resumed_one[key]), (parts, key)
        left, right = (json.loads((folder / name / 'rounds.json').read_text()) for name in ('plain2', parts))
        assert left == right


def test_no_process_waits_for_labels_that_do_not_come(outcomes):
    _, found = outcomes
    zero, one = (outcome['broken'] for outcome in found[2])
    assert zero['Broken'].startswith('TypeError: a mistake in the labeller')  # mmengine says in which hook
    assert one['Broken'] == 'PseudoLabelError: round 1: a mistake in the labeller'
    for outcome in (zero, one):
        assert outcome['SelfPacedKMeans'].startswith(
            f'PseudoLabelError: round 1: there are fewer images than clusters: {IMAGES} images')
