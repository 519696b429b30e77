"""Trials in two processes (gloo), beside one process."""

import datetime

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mmreid.engine.progressive.record import ProgressiveRecord
from mmreid.registry import HOOKS
from mmreid.utils.checkpoint import read_checkpoint
from mmreid.utils.distributed import close_process_group
from tests.test_engine.test_progressive.test_loop import HandSteered
from tests.test_engine.test_progressive.toy import content, lines_of, options, runner_of
from tests.test_engine.toy import toy_runner
from tests.test_utils.test_checkpoint import same

MORE = dict(launcher='pytorch', find_unused_parameters=True, loop__max_epochs=3, val_dataloader=None, val_cfg=None,
            val_evaluator=None)


def work(rank, folder, processes):
    torch.set_num_threads(1)
    if processes > 1:
        dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=processes,
                                timeout=datetime.timedelta(seconds=100))
    more = dict(MORE, launcher='pytorch' if processes > 1 else 'none')
    runner = runner_of(folder / f'parallel{processes}', **more)
    runner.train()
    found = dict(weights=runner._bare_model.state_dict(), values=runner.train_loop._state['values'])
    if processes > 1:
        chosen = [line['values'] for line in ProgressiveRecord(folder / 'parallel2').cycles]
        plain = options(**{key: value for key, value in more.items() if not key.startswith('loop__')},
                        custom_hooks=[dict(type='Steered', chosen=chosen)])
        plain['train_cfg'] = dict(by_epoch=True, max_epochs=3, val_interval=1)
        known = toy_runner(folder / 'known', **plain)
        known.train()
        found['known'] = known._bare_model.state_dict()
        together = runner_of(folder / 'together', **more, loop__parallel_trials=False)
        together.train()
        found['together'] = together._bare_model.state_dict()
        again = runner_of(folder / 'again', **more, resume=True, load_from=str(folder / 'parallel2' / 'epoch_2.pth'))
        again.train()
        found['again'] = again._bare_model.state_dict()
    torch.save(found, f'{folder}/{processes}_{rank}.pt')
    if processes > 1:
        close_process_group()


@HOOKS.register_module()
class Steered(HandSteered):
    """As its base, for a network that is wrapped."""

    def before_train_epoch(self, runner) -> None:
        for name, value in self.chosen[runner.epoch // 2].items():
            setattr(runner._bare_model.heads['tri'].loss_module, name, value)


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    """By number of processes, what each of them found."""
    folder, found = tmp_path_factory.mktemp('processes'), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('CUDA_VISIBLE_DEVICES', '')
        patch.setenv('OMP_NUM_THREADS', '1')
        work(0, folder, 1)
        mp.start_processes(work, args=(folder, 2), nprocs=2, start_method='spawn')
        for processes in (1, 2):
            found[processes] = [torch.load(folder / f'{processes}_{rank}.pt', weights_only=False)
                                for rank in range(processes)]
    return folder, found


def parameters(weights):
    """Statistics of norms are each process's own."""
    return {key: value for key, value in weights.items() if 'running' not in key}


def test_two_processes_observe_what_one_does(outcomes):
    folder, found = outcomes
    one, two = (lines_of(ProgressiveRecord(folder / f'parallel{processes}').trials) for processes in (1, 2))
    assert [line['processes'] for line in two] == [2, 2, 1] * 2 and len(one) == 6  # of three the last is alone
    for left, right in zip(one[:3], two[:3], strict=True):  # then weights differ: the batches of a step are others
        assert {**left, 'processes': 0} == {**right, 'processes': 0}
    chosen = [ProgressiveRecord(folder / f'parallel{processes}').cycles[0]['values'] for processes in (1, 2)]
    assert chosen[0] == chosen[1]


def test_processes_agree_and_trials_leave_no_trace(outcomes):
    folder, found = outcomes
    zero, one = found[2]
    assert zero['values'] == one['values'] == ProgressiveRecord(folder / 'parallel2').cycles[1]['values']
    for name in ('weights', 'together', 'again', 'known'):
        assert same(parameters(zero[name]), parameters(one[name])), name
    for rank in (zero, one):  # also the statistics, which are not shared
        assert same(rank['weights'], rank['known'])
    assert not same(zero['weights'], one['weights']), 'the toy should have statistics of its own in each process'
    left, right = (content(folder / name / 'epoch_3.pth') for name in ('parallel2', 'known'))
    assert same(left['optimizer'], right['optimizer']) and same(left['train_state'], right['train_state'])


def test_resumed_at_the_beginning_of_a_cycle(outcomes):
    folder, found = outcomes
    expected, again = (ProgressiveRecord(folder / name) for name in ('parallel2', 'again'))
    assert lines_of(again.trials) == lines_of(expected.trials)[3:]
    for rank in found[2]:
        assert same(parameters(rank['weights']), parameters(rank['again']))


def test_one_set_at_a_time_with_exchanged_gradients(outcomes):
    folder, found = outcomes
    parallel, together = (ProgressiveRecord(folder / name).trials for name in ('parallel2', 'together'))
    assert [line['processes'] for line in together] == [1] * 6
    assert [line['values'] for line in together[:3]] == [line['values'] for line in parallel[:3]]
    assert all(left['losses'] != right['losses'] for left, right in zip(parallel, together))
    assert read_checkpoint(folder / 'together' / 'epoch_3.pth')['meta']['iter'] == 3  # half as many steps in an epoch


def test_the_lowest_loss_is_that_of_all_processes(outcomes):
    folder, found = outcomes
    own = read_checkpoint(folder / 'parallel2' / 'epoch_1.pth')['message_hub']
    noted = own['runtime_info']['progressive']['losses']
    assert len(noted) == 1 and noted[0] != float(own['log_scalars']['train/loss']['values'].mean())
