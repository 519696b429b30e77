"""The training loop of PLA: explore sets of hyper-parameters, go back, train on with the one that promises most."""

import inspect
import json
import math
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, broadcast, broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook, RuntimeInfoHook
from torch import nn

from mmreid.engine.hooks.checkpoint_hook import set_aside
from mmreid.engine.progressive import HyperParameterSearch, SearchSpace
from mmreid.engine.progressive.limits import check_ranks
from mmreid.engine.progressive.record import ProgressiveRecord, exploring_seconds
from mmreid.engine.progressive.trial import TrialRun, initial_groups, steer
from mmreid.registry import LOOPS, TASK_UTILS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint, write_checkpoint, write_text
from mmreid.utils.config import config_errors
from mmreid.utils.weights import state_hash

from .loops import EpochTrainLoop
from .train_state import TrainState, all_schedulers, require_one_optimizer

#: Where the state of the loop is in the message hub, and so in checkpoints.
HUB_KEY = 'progressive'


@LOOPS.register_module()
class ProgressiveLearningLoop(EpochTrainLoop):
    """Progressive learning, Algorithm 1 of PLA: cycles of exploration, restoration and exploitation.

    A cycle begins with ``num_trials`` trials. Each trains for ``explore_epochs`` epochs with another set of
    hyper-parameters, from the same state and on the same batches, silently: hooks are not called, schedulers do not
    step, nothing but its result is logged. After each the state before it is put back bit for bit. Then the search
    chooses a set, and the network is trained with it for ``exploit_epochs`` epochs as by any other loop; the weights of
    the epoch with the lowest mean training loss are kept in ``work_dir/pla/cycle_N_lowest_loss.pth``. The next cycle
    goes on from the last weights.

    Epochs of this loop (for hooks, schedules, validation and ``max_epochs``) are those of exploitation. Trials run at
    the learning rate and the betas that the run began with, whatever a schedule has made of them. A hook that steers
    the network as a function of the position alone has a method ``steer(runner)``, which its ``before_train_iter``
    calls: the loop calls it before trials, so that these have what the first batch of the exploitation will have.

    What happened is in ``work_dir/pla`` (:class:`ProgressiveRecord`). A checkpoint stands at the beginning of every
    cycle, and finished trials are found again by the weights that they began with: a process that is killed loses the
    trial it was at.

    With several processes and ``parallel_trials`` each explores a set of its own, on the whole data as a single process
    would, and results are exchanged. Objectives of trials are then those of a single process, for a search that does
    not look at earlier trials of the cycle; one that does is told which sets are under way.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): Data loader or its config.
        max_epochs (int): Epochs of exploitation in all; the last cycle may be shorter than the others.
        space (dict): Parameters that are searched, see :class:`SearchSpace`.
        search (dict): The search. Defaults to ``dict(type='BayesianSearch')``.
        num_trials (int): Trials of a cycle, N; the paper does not state it. Defaults to 8.
        explore_epochs (int): Epochs of a trial, at least 2. Defaults to 20.
        exploit_epochs (int): Epochs of exploitation of a cycle. Defaults to 300.
        expected_drop (float): Relative drop of the loss of a healthy training, see :func:`relative_drop`. Defaults to
            0.15.
        count_exploration (bool): Whether epochs of trials count toward ``max_epochs``; exploitation is then so much
            shorter, and there is no cycle that would end with its exploration. Defaults to False.
        gp_history (str): Which trials the search is shown: ``'cycle'``, those of the cycle, as objectives compare sets
            from one state of the network only; or ``'all'`` up to it. Defaults to ``'cycle'``.
        parallel_trials (bool): Whether processes explore different sets. Otherwise all explore one set together.
            Defaults to True.
        seed (int, optional): Seed of the search. Defaults to None: that of the run.
        **kwargs: ``val_begin``, ``val_interval`` and ``dynamic_intervals`` of :class:`EpochTrainLoop`.

    Raises:
        ValueError: If a number is out of its range.
        ConfigError: When training begins, if an attribute that is searched is not there or refuses a bound, the search
            cannot do with the space, a rank is beyond what a batch has, the model has layers that compute over all
            processes in parallel trials, there are several optimizers, or a hook that is needed is missing.
        CheckpointError: If what is resumed was trained with another search, space or objective, or the search is to
            look at trials that are not in the record.

    Example:
        >>> train_cfg = dict(
        ...     type='ProgressiveLearningLoop', max_epochs=3000, search=dict(type='BayesianSearch'),
        ...     space=dict(k=dict(target='heads.tri.loss_module.k', low=1, high=8, integer=True)))
    """

    def __init__(self,
                 runner: Any,
                 dataloader: Any,
                 max_epochs: int,
                 space: Mapping[str, Mapping[str, Any]],
                 search: Optional[Dict[str, Any]] = None,
                 num_trials: int = 8,
                 explore_epochs: int = 20,
                 exploit_epochs: int = 300,
                 expected_drop: float = 0.15,
                 count_exploration: bool = False,
                 gp_history: str = 'cycle',
                 parallel_trials: bool = True,
                 seed: Optional[int] = None,
                 **kwargs) -> None:
        least = dict(max_epochs=(max_epochs, 1), num_trials=(num_trials, 1), explore_epochs=(explore_epochs, 2),
                     exploit_epochs=(exploit_epochs, 1))
        for name, (value, lowest) in least.items():
            if isinstance(value, bool) or value != int(value) or value < lowest:
                raise ValueError(f'{name} of {type(self).__name__} must be a whole number of at least {lowest}'
                                 + (', for the objective compares two halves of a trial' if lowest == 2 else '')
                                 + f', got {value!r}')
        if not 0 <= expected_drop <= 1:
            raise ValueError(f'expected_drop is a share of the loss, from 0 to 1, got {expected_drop}')
        if gp_history not in ('cycle', 'all'):
            raise ValueError(f"gp_history must be 'cycle' or 'all', got {gp_history!r}")
        self.num_trials, self.explore_epochs = int(num_trials), int(explore_epochs)
        self.exploit_epochs, self.expected_drop = int(exploit_epochs), float(expected_drop)
        self.gp_history, self.parallel_trials, self._given_seed = gp_history, bool(parallel_trials), seed
        self.count_exploration = bool(count_exploration)
        super().__init__(runner, dataloader, max_epochs=self._exploitation_of(int(max_epochs)), **kwargs)
        self.space = SearchSpace(space)
        self.search = _build_search(search, gp_history)

    # ---- the course of a run ----------------------------------------------------------------------------------------

    def run(self) -> nn.Module:
        """Train until ``max_epochs``."""
        self._begin()
        return super().run()

    def run_epoch(self) -> None:
        """Train for the rest of the current epoch, after exploration if a cycle begins with it."""
        if self.batch_in_epoch == 0 and self._state['cycle'] != self.cycle:
            self._begin_cycle()
        cycle, start = self.cycle, time.perf_counter()
        if self.batch_in_epoch == self.epoch_length:  # resumed after the last batch of an epoch, but within it
            self._note_loss(self._epoch)
        super().run_epoch()
        self._settle(cycle, time.perf_counter() - start)

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Train on one batch; after the last of an epoch its mean loss is noted, for checkpoints to have it."""
        super().run_iter(idx, data_batch)
        if self.batch_in_epoch == self.epoch_length:
            self._note_loss(self._epoch)

    @property
    def cycle(self) -> int:
        """Number of the cycle of the current epoch, from 1."""
        return self._epoch // self.exploit_epochs + 1

    def _exploitation_of(self, max_epochs: int) -> int:
        """Epochs of exploitation among ``max_epochs`` where exploration counts."""
        if not self.count_exploration:
            return max_epochs
        explored = self.num_trials * self.explore_epochs
        cycles, rest = divmod(max_epochs, explored + self.exploit_epochs)
        epochs = cycles * self.exploit_epochs + max(0, rest - explored)
        if not epochs:
            raise ValueError(f'max_epochs={max_epochs} is spent by the {self.num_trials} x {self.explore_epochs} '
                             'epochs of the first exploration: set it higher, or count_exploration=False')
        return epochs

    # ---- begin ------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Check what can be checked before hours are spent, and go on where a checkpoint stands."""
        runner = self.runner
        with config_errors():
            self._check()
        self._warn_of_periods()
        self._seed = _of_main(runner.seed if self._given_seed is None else self._given_seed)
        # Only the first process reads the files, which it may be about to rename.
        self._record = ProgressiveRecord(runner.work_dir, read=is_main_process())
        self._kept: Optional[Dict[str, Any]] = None  # epoch and loss of the file of the lowest loss of the cycle
        state = runner.message_hub.runtime_info.get(HUB_KEY)
        if state is None and self._iter > 0:
            raise CheckpointError(f'the checkpoint that is resumed was not written by {type(self).__name__}: resume '
                                  'with the config it was trained with, or start from its weights with '
                                  '--cfg-options load_from=FILE')
        resumed = state is not None
        if not resumed:
            self._set_aside()
            state = dict(settings=json.dumps(self._settings()), cycle=0, values={}, losses=[], noted=-1, start='',
                         initial=list(initial_groups(runner.optim_wrapper.optimizer)))
        self._refuse_other_settings(json.loads(state['settings']))
        self._state = state
        self._keep(state)
        if resumed:
            self._drop_future()
            self._require_earlier_trials()
        if state['cycle']:
            self.space.apply(runner._bare_model, state['values'])
            # Where the size of a step has changed, an epoch that was under way starts anew and has no end here.
            if self.batch_in_epoch == 0 and state['losses'] and state['noted'] == self._last_iter:
                self._settle(state['cycle'], 0.0)
        self._trial = TrialRun(self.space, self.explore_epochs, self.expected_drop, tuple(state['initial']), self._seed,
                               alone=self.parallel_trials or runner.world_size == 1)

    def _check(self) -> None:
        """What is wrong with the config, as far as model and data tell."""
        runner = self.runner
        self.space.check_bounds(runner._bare_model)
        self.search.check(self.space, self.num_trials)
        check_ranks(self.space, runner._bare_model, self.dataloader.batch_sampler.sampler)
        require_one_optimizer(runner.optim_wrapper)
        self._check_processes()
        if not any(isinstance(hook, RuntimeInfoHook) for hook in runner.hooks):
            raise ValueError(f'{type(self).__name__} reads losses where RuntimeInfoHook writes them: leave '
                             'default_hooks.runtime_info as it is')

    def _warn_of_periods(self) -> None:
        """Schedules that begin anew are to do so with each exploitation."""
        for scheduler in all_schedulers(self.runner.param_schedulers):
            unit, length = ('epochs', self.exploit_epochs) if scheduler.by_epoch else (
                'iterations', self.exploit_epochs * self.epoch_length)
            period = getattr(scheduler, 'period', None)
            if period not in (None, length):
                self.runner.logger.warning(
                    f'{type(scheduler).__name__} begins anew after period={period} {unit}, and an exploitation has '
                    f'{length} (exploit_epochs={self.exploit_epochs}): cycles begin at different places of the '
                    'schedule. Set period and what belongs to it accordingly.')

    def _check_processes(self) -> None:
        runner = self.runner
        if runner.world_size == 1 or not self.parallel_trials:
            return
        sampler = self.dataloader.batch_sampler.sampler
        if not {'rank', 'world_size'} <= set(vars(sampler)):
            raise ValueError(f'{type(sampler).__name__} cannot draw for a single process, which parallel trials need '
                             '(a sampler with rank and world_size): set parallel_trials=False')
        together = [name for name, module in runner._bare_model.named_modules()
                    if isinstance(module, nn.SyncBatchNorm)]
        if together:
            raise ValueError(f'{len(together)} layers compute over all processes ({together[0]}, ...), which cannot be '
                             'while each explores another set: set parallel_trials=False')
        if self.num_trials % runner.world_size:
            runner.logger.warning(f'{self.num_trials} trials in {runner.world_size} processes: in the last turn some '
                                  'wait for the others, for as long as a trial takes. If that may be longer than '
                                  'processes wait for each other, raise env_cfg.dist_cfg.timeout (seconds), or let '
                                  'num_trials be a multiple of the number of processes')

    def _settings(self) -> Dict[str, Any]:
        """What must not change on a resume, plain."""
        return json.loads(json.dumps(dict(
            search=self.search.settings(), space=self.space.settings(), num_trials=self.num_trials,
            explore_epochs=self.explore_epochs, exploit_epochs=self.exploit_epochs, expected_drop=self.expected_drop,
            gp_history=self.gp_history, seed=self._seed)))

    def _refuse_other_settings(self, before: Dict[str, Any]) -> None:
        now = self._settings()
        changed = [f'{key} was {before.get(key)} and is {now.get(key)}' for key in {**before, **now}
                   if before.get(key) != now.get(key)]
        if changed:
            raise CheckpointError('the run that is resumed was steered otherwise, and its trials would not compare: '
                                  f'{"; ".join(changed)}. Resume with the config it was trained with, or start anew '
                                  'from its weights with --cfg-options load_from=FILE.')

    @property
    def _folder(self) -> Path:
        return self._record.folder

    def _set_aside(self) -> None:
        """Rename the record of an earlier training in the same folder."""
        if is_main_process():
            self._rename([*self._record.files, *self._folder.glob('cycle_*_lowest_loss.pth')], 'of an earlier training')
        self._record.trials, self._record.cycles = [], []

    def _rename(self, files: List[Path], what: str) -> None:
        set_aside(files, self.runner.timestamp)
        if files:
            self.runner.logger.warning(f'{len(files)} files {what} were in {self._folder}. They are kept with the '
                                       f'ending .before_{self.runner.timestamp}.')

    def _drop_future(self) -> None:
        """Forget cycles after the one that is resumed; trials of the next may be those that are to come.

        Weights of a lowest loss that is yet to come are set aside; those of the cycle are compared with later ones.
        """
        if not is_main_process():
            return
        cycle = self._state['cycle']
        trials = [line for line in self._record.trials if line['cycle'] == cycle + 1]
        self._tell_dropped(self._record.go_back(cycle + 1, trials, exploits=False))
        future = []
        for path in self._folder.glob('cycle_*_lowest_loss.pth'):
            meta = read_checkpoint(path).get('meta', {})
            found = meta.get(HUB_KEY, {})
            if not found or meta['epoch'] > self._epoch:
                future.append(path)
            elif found['cycle'] == cycle:
                self._kept = dict(epoch=meta['epoch'], loss=found['loss'])
        self._rename(future, f'with weights of epochs after {self._epoch}, where training goes on,')

    def _require_earlier_trials(self) -> None:
        """A search that looks at all trials is to find those of all cycles."""
        if self.gp_history != 'all':
            return
        done = _of_main([sum(line['cycle'] == cycle for line in self._record.trials)
                         for cycle in range(1, self._state['cycle'] + 1)])
        for cycle, number in enumerate(done, 1):
            if number < self.num_trials:
                raise CheckpointError(
                    f"gp_history='all' shows the search all trials, and {self._folder / ProgressiveRecord.TRIALS} has "
                    f'{number} of the {self.num_trials} of cycle {cycle}: resume in the work directory of the run, or '
                    'copy its folder pla')

    def _tell_dropped(self, number: int) -> None:
        if number:
            self.runner.logger.warning(f'{number} trials of {self._record.folder} were done after the position that is '
                                       'resumed, or with other weights: they are dropped and done again')

    @property
    def _last_iter(self) -> int:
        """The last iteration that was begun, as checkpoints have it, whatever a resume makes of the position."""
        return self.runner.message_hub.runtime_info['iter']

    def _keep(self, state: Dict[str, Any], **changes: Any) -> None:
        """Change the state of the loop where checkpoints have it."""
        self._state = {**state, **changes}
        self.runner.message_hub.update_info(HUB_KEY, self._state)

    # ---- a cycle ----------------------------------------------------------------------------------------------------

    def _begin_cycle(self) -> None:
        """Explore, go back, choose."""
        runner, cycle = self.runner, self.cycle
        runner.restore_pending_rank_state()  # trials end where they begin, so it is to be there before
        self._write_start()
        self._kept = None
        steer(runner)  # before the snapshot, or going back would undo it
        weights = _of_main(state_hash(runner._bare_model.state_dict()) if is_main_process() else None)
        trials = _of_main(self._record.trials_of(cycle, weights)[:self.num_trials])
        if is_main_process():
            self._tell_dropped(self._record.go_back(cycle, trials, exploits=False))
        earlier = _of_main([line for line in self._record.trials if line['cycle'] < cycle])
        if trials:
            runner.logger.info(f'Cycle {cycle}: {len(trials)} of {self.num_trials} trials are done already')
        if len(trials) < self.num_trials:
            before = TrainState(runner)
            while len(trials) < self.num_trials:
                trials += self._explore(before, cycle, weights, earlier, trials)
        shown = self._shown(earlier, trials)
        values = _of_main(self.search.choose(self.space, shown, self._seed, cycle=cycle))
        self.space.apply(runner._bare_model, values)
        self._keep(self._state, cycle=cycle, values=values, losses=[])
        if is_main_process():
            facts = self.search.explain(self.space, shown, values, cycle=cycle)
            self._record.set_cycle(
                cycle, values=values, **{'expected_improvement': None, **facts}, epoch_begin=self._epoch,
                epoch_end=self._epoch, iter=self._iter, weights=weights, lowest_loss=None, lowest_epoch=None,
                explore_seconds=round(exploring_seconds(trials), 3),
                exploit_seconds=0.0)
            more = ', '.join(f'{key} {value:.4g}' for key, value in facts.items())
            runner.logger.info(f'Cycle {cycle}: training with {_text(values)}' + (f' ({more})' if more else ''))

    def _explore(self, before: TrainState, cycle: int, weights: str, earlier: List[dict],
                 trials: List[dict]) -> List[Dict[str, Any]]:
        """Carry out the next trial, or the next of every process, and record them."""
        runner = self.runner
        turns = min(runner.world_size if self.parallel_trials else 1, self.num_trials - len(trials))
        sets: List[Dict[str, Any]] = []
        for _ in range(turns):
            pending = [dict(values=values, objective=None, cycle=cycle, trial=len(trials) + i + 1, pending=True)
                       for i, values in enumerate(sets)]
            shown = self._shown(earlier, trials) + pending
            sets.append(_of_main(self.search.suggest(self.space, shown, self._seed, cycle=cycle)))
        own = runner.rank if self.parallel_trials else 0
        if self._trial.alone and runner.world_size > 1:
            for buffer in runner._bare_model.buffers():  # statistics of norms may be each process's own
                broadcast(buffer)
        found = self._trial(runner, before, cycle, sets[own]) if own < turns else None
        if found is None:  # nothing was left for this process, and it has the buffers of the first
            before.restore()
        results = all_gather_object(found)[:turns] if self.parallel_trials else [found]
        place = dict(epoch=self._epoch, iter=self._iter, weights=weights, processes=turns)
        lines = [dict(cycle=cycle, trial=len(trials) + i + 1, values=values, **result, **place)
                 for i, (values, result) in enumerate(zip(sets, results))]
        if is_main_process():
            self._record.add_trials(lines)
            for line in lines:
                self._tell(line)
        return lines

    def _tell(self, line: Dict[str, Any]) -> None:
        losses, seconds = line['losses'], line['seconds']
        text = (f'Cycle {line["cycle"]}, trial {line["trial"]} of {self.num_trials}, {_text(line["values"])}: '
                f'objective {line["objective"]:.4f} (loss {losses[0]:.4g} to {losses[-1]:.4g}, {seconds:.1f} s)')
        (self.runner.logger.warning if line['note'] else self.runner.logger.info)(
            text + (f': {line["note"]}' if line['note'] else ''))

    def _shown(self, earlier: List[dict], trials: List[dict]) -> List[Dict[str, Any]]:
        """The observations that the search is to see."""
        lines = earlier + trials if self.gp_history == 'all' else trials
        return [{key: line[key] for key in ('values', 'objective', 'cycle', 'trial')} for line in lines]

    def _write_start(self) -> None:
        """Write a checkpoint to go on from, unless the checkpoint hook has just done so."""
        runner = self.runner
        hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        if hook is None:
            return
        name = hook.filename_tmpl.format(self._epoch if hook.by_epoch else self._iter)
        path = Path(hook.out_dir) / name
        earlier = self._state['start']
        if runner.message_hub.runtime_info.get('last_ckpt') == str(path):
            self._keep(self._state, start='')
        else:
            self._keep(self._state, start=name)
            runner.save_checkpoint(hook.out_dir, name, meta=dict(epoch=self._epoch, iter=self._iter), by_epoch=True)
            if is_main_process():
                write_text(str(path), Path(runner.work_dir) / 'last_checkpoint')
        if is_main_process() and earlier and earlier != name and hook.max_keep_ckpts > 0:
            (Path(hook.out_dir) / earlier).unlink(missing_ok=True)

    # ---- exploitation -----------------------------------------------------------------------------------------------

    def _note_loss(self, epoch: int) -> None:
        """Add the mean loss of the epoch that ends, over all processes, to those of the cycle."""
        history = self.runner.message_hub.get_scalar('train/loss').data[0]
        mean = torch.tensor(np.mean(history[-self.epoch_length:]), dtype=torch.float64)
        all_reduce(mean, 'mean')
        before = self._state['losses'][:epoch % self.exploit_epochs]
        self._keep(self._state, losses=[*before, mean.item()], noted=self._last_iter)

    def _settle(self, cycle: int, seconds: float) -> None:
        """After an epoch, and again on a resume after it: keep its weights if its loss is the lowest of the cycle."""
        if not is_main_process():
            return
        loss = self._state['losses'][-1]
        loss = math.inf if math.isnan(loss) else loss
        if self._kept is None or loss < self._kept['loss']:
            self._write_lowest(cycle, loss)
            self._kept = dict(epoch=self._epoch, loss=loss)
        spent = self._record.cycle(cycle).get('exploit_seconds') or 0.0
        self._record.set_cycle(cycle, values=self._state['values'], epoch_end=self._epoch,
                               exploit_seconds=round(spent + seconds, 3), lowest_loss=self._kept['loss'],
                               lowest_epoch=self._kept['epoch'])

    def _write_lowest(self, cycle: int, loss: float) -> None:
        """Keep the present weights as those of the lowest loss of the cycle."""
        runner = self.runner
        meta = runner._checkpoint_meta(dict(epoch=self._epoch, iter=self._iter), by_epoch=True)
        meta[HUB_KEY] = dict(cycle=cycle, values=self._state['values'], loss=loss)
        write_checkpoint(dict(meta=meta, state_dict=runner._bare_model.state_dict()),
                         self._folder / f'cycle_{cycle}_lowest_loss.pth')


def _build_search(search: Optional[Dict[str, Any]], gp_history: str) -> HyperParameterSearch:
    """Build the search, which is to make use of what it is shown."""
    search = dict(search or dict(type='BayesianSearch'))
    kind = TASK_UTILS.get(search['type']) if isinstance(search.get('type'), str) else search.get('type')
    if kind is not None and 'history' in inspect.signature(kind.__init__).parameters:
        search.setdefault('history', gp_history)
    return TASK_UTILS.build(search)


def _text(values: Mapping[str, float]) -> str:
    return ', '.join(f'{name}={value:.4g}' for name, value in values.items())


def _of_main(value: Any) -> Any:
    """What the first process has, on every process."""
    found = [value]
    broadcast_object_list(found)
    return found[0]
