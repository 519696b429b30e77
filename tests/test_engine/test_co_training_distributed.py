"""Co-training in two processes (gloo), beside one process."""

import datetime
import json

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mmreid.pseudo_labels.dictionary import read_dictionary
from mmreid.utils.distributed import close_process_group
from tests import shortcuts
from tests.test_engine.test_pseudo_labels import Interrupted, hook_of
from tests.test_engine.test_pseudo_labels_distributed import PLAIN, RankWitness, bare, rounds_of
from tests.test_engine.toy import toy_config, toy_runner
from tests.test_utils.test_checkpoint import same

DICTIONARY = dict(type='GraphDictionary', num_atoms=5)


def options_of(processes):
    """Rounds of two epochs in two steps, with validation."""
    given, plain = rounds_of(processes, model=PLAIN), toy_config('unused').to_dict()
    given.update({key: plain[key] for key in ('val_dataloader', 'val_cfg', 'val_evaluator')})
    rounds = given['custom_hooks'][0]
    rounds.update(type='CoTrainingHook', labeller=DICTIONARY, restart='continue')
    phases = dict(type='PhaseHook', cycle=2, phases=[
        dict(name='classifiers', trainable=('heads.id*', )), dict(name='everything', begin=1)])
    return dict(given, custom_hooks=[*given['custom_hooks'], phases], train_cfg__max_epochs=4,
                find_unused_parameters=True)


def run(rank, folder, processes):
    torch.set_num_threads(1)
    shortcuts.install()
    if processes > 1:
        dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=processes,
                                timeout=datetime.timedelta(seconds=100))
    runner = toy_runner(folder / f'whole{processes}', **options_of(processes))
    runner.train()
    found = dict(rounds=hook_of(runner, RankWitness).rounds, weights=bare(runner).state_dict())
    if processes > 1:
        given = options_of(processes)
        with pytest.raises(Interrupted):
            toy_runner(folder / 'parts', **dict(given, custom_hooks=[
                *given['custom_hooks'], dict(type='StopAfter', iterations=-3)])).train()
        resumed = toy_runner(folder / 'parts', resume=True, **given)
        resumed.train()
        found['resumed'] = bare(resumed).state_dict()
    torch.save(found, f'{folder}/{processes}_{rank}.pt')
    if processes > 1:
        close_process_group()


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    """By number of processes, what each of them found."""
    folder, found = tmp_path_factory.mktemp('processes'), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('CUDA_VISIBLE_DEVICES', '')
        patch.setenv('OMP_NUM_THREADS', '1')
        for processes in (1, 2):
            if processes == 1:
                run(0, folder, 1)
            else:
                mp.start_processes(run, args=(folder, processes), nprocs=processes, start_method='spawn')
            found[processes] = [torch.load(folder / f'{processes}_{rank}.pt', weights_only=False)
                                for rank in range(processes)]
    return folder, found


def test_two_processes_label_as_one_does(outcomes):
    folder, found = outcomes
    alone, zero, one = (outcome['rounds'] for outcome in (*found[1], *found[2]))
    assert len(alone) == len(zero) == len(one) == 2
    assert np.array_equal(alone[0]['labels'], zero[0]['labels'])
    for left, right in zip(zero, one, strict=True):
        assert np.array_equal(left['labels'], right['labels']) and same(left['classifier'], right['classifier'])
        for mine, others in zip(left['records'], right['records'], strict=True):
            mine.pop('metrics', None)  # which the main process alone keeps
            assert mine == others
    left, right = (read_dictionary(folder / f'whole{processes}/dictionary_round_0.npz').atoms for processes in (1, 2))
    assert np.allclose(left, right, atol=1e-4)
    records = json.loads((folder / 'whole2' / 'rounds.json').read_text())
    assert [('codes/market1501/mAP' in record['metrics'], 'market1501/mAP' in record['metrics'])
            for record in records] == [(True, True)] * 2 and 'after' in records[-1]


def test_processes_agree_and_resume(outcomes):
    folder, found = outcomes
    zero, one = found[2]
    assert same(zero['weights'], one['weights']) and same(zero['resumed'], one['resumed'])
    assert same(zero['weights'], zero['resumed'])
    assert (folder / 'whole2' / 'rounds.json').read_text() == (folder / 'parts' / 'rounds.json').read_text()
