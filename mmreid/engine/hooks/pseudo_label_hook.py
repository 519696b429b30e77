"""Rounds of labelling unlabelled images and fine-tuning on them."""

import copy
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import numpy as np
import torch
from mmengine.dist import broadcast, broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from mmreid.datasets.pseudo_labelled import PseudoLabelDataset
from mmreid.engine.pseudo_rounds import RoundRecords, extract_pool, is_saturated
from mmreid.engine.runner.loops import EpochTrainLoop
from mmreid.models.heads import ClassificationHead
from mmreid.pseudo_labels import PseudoLabels, label_quality
from mmreid.registry import HOOKS, TASK_UTILS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from mmreid.utils.weights import state_hash

RESTARTS = ('original', 'continue')
_STREAM = 0x51EED  # separates the draws of new classifiers from those of training


class PseudoLabelError(RuntimeError):
    """A round cannot go on: nothing to train on."""


@HOOKS.register_module()
class PseudoLabelHook(Hook):
    """Train in rounds: extract features of the unlabelled images, label them, select some, fine-tune on these.

    Algorithm 1 of Fan, Zheng and Yang: `Unsupervised Person Re-identification: Clustering and Fine-tuning
    <https://arxiv.org/abs/1705.10444>`_ (PUL) with ``SelfPacedKMeans``; other labellers give other methods. The
    training data must be a :class:`PseudoLabelDataset`. At the beginning of each round

    1. features of the pool are extracted in evaluation mode under its test pipeline (distributed, with a bar),
    2. the labeller says labels and selection, which the log reports; where identities are known, with the quality of
       the labels (they are used for nothing else),
    3. the overlay, the data loader and the classifiers are made anew, the latter with fresh weights, and the optimizer
       and the schedules begin anew, too,
    4. with ``restart='original'`` all other weights are those from before the first round.

    Labelling for the next round comes at the end of an epoch, before its checkpoint, so every checkpoint has what is
    needed to go on. In the work directory, ``rounds.json`` has the record of every round and ``round_N.pth`` the
    weights at its end.

    Args:
        labeller (dict): Config of a labeller (``TASK_UTILS``).
        epochs_per_round (int): Defaults to 20. The rounds are ``max_epochs / epochs_per_round``, 25 in the paper.
        restart (str): ``'original'`` fine-tunes the original model again each round (Algorithm 1, line 17),
            ``'continue'`` goes on with the newest one. Defaults to ``'original'``.
        tolerance (float): Change of the number of selected images, as a share of the pool, that counts as none.
            Defaults to 0.01.
        patience (int, optional): Rounds without a change after which training ends. Defaults to 2; None: never.
        batch_size (int): Images of a batch in the extraction. Defaults to 64.
        num_workers (int): Loading processes of the extraction. Defaults to 2.

    Raises:
        ValueError: If an argument is wrong, or (when training starts) data or model are not of the kind it needs.
        PseudoLabelError: If a round selects nothing and there are no labelled images.

    Note:
        Priority ``ABOVE_NORMAL``: before latent states are reset and before the checkpoint of the epoch. A training
        that is resumed, also inside a round, goes on with the labels of its checkpoint and equals an uninterrupted one
        bit for bit; the original weights lie in ``original.pth`` of the work directory, known by their hash.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self,
                 labeller: dict,
                 epochs_per_round: int = 20,
                 restart: str = 'original',
                 tolerance: float = 0.01,
                 patience: Optional[int] = 2,
                 batch_size: int = 64,
                 num_workers: int = 2) -> None:
        if epochs_per_round < 1:
            raise ValueError(f'epochs_per_round must be at least 1, got {epochs_per_round}')
        if restart not in RESTARTS:
            raise ValueError(f'restart must be one of {", ".join(RESTARTS)}, got {restart!r}')
        if not 0 <= tolerance < 1:
            raise ValueError(f'tolerance is a share of the pool and must be at least 0 and below 1, got {tolerance}')
        if patience is not None and patience < 1:
            raise ValueError(f'patience must be at least 1, or None to train all rounds, got {patience}')
        self.labeller = TASK_UTILS.build(labeller) if isinstance(labeller, dict) else labeller
        self.epochs_per_round, self.restart = epochs_per_round, restart
        self.tolerance, self.patience = tolerance, patience
        self.batch_size, self.num_workers = batch_size, num_workers
        self.records = RoundRecords()
        self._labels: Optional[Dict[str, Any]] = None  # of the round that runs or comes next
        self._original: Dict[str, torch.Tensor] = {}
        self._original_hash = ''
        self._fresh: Optional[Dict[str, Any]] = None  # configs of what begins anew each round

    # ---- the course of a training --------------------------------------------------------------------------------

    def before_train(self, runner) -> None:
        """Keep the original weights and label the first round, unless a checkpoint has brought both."""
        self._require(runner)
        if self._labels is None:
            self._keep_original(runner)
            self._label(runner, 1)

    def before_train_epoch(self, runner) -> None:
        """Begin a round."""
        if runner.epoch % self.epochs_per_round == 0 and runner.train_loop.batch_in_epoch == 0:
            self._begin_round(runner)

    def after_train_epoch(self, runner) -> None:
        """At the end of a round, keep its weights, and label for the next one or stop."""
        done = runner.epoch + 1
        if done % self.epochs_per_round:
            return
        runner.save_checkpoint(runner.work_dir, f'round_{done // self.epochs_per_round}.pth', save_optimizer=False,
                               save_param_scheduler=False)
        if done >= runner.max_epochs:
            return
        self._label(runner, done // self.epochs_per_round + 1)
        selected = [record['num_selected'] for record in self.records]
        if is_saturated(selected, len(self._dataset(runner).pool_rows), self.tolerance, self.patience):
            runner.logger.info(f'The number of selected images has settled ({selected[-self.patience - 1:]}): training '
                               f'ends after {len(selected) - 1} rounds.')
            runner.train_loop.stop_training = True

    def after_val_epoch(self, runner, metrics: Optional[Dict[str, float]] = None) -> None:
        """Note the result of the round that has just ended."""
        number = (runner.epoch + self.epochs_per_round - 1) // self.epochs_per_round
        if metrics and 1 <= number <= len(self.records) and is_main_process():
            self.records[number - 1]['metrics'] = {key: float(value) for key, value in metrics.items()}
            self.records.write(runner.work_dir)

    # ---- checkpoints -----------------------------------------------------------------------------------------------

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add labels, selection, records and the hash of the original weights."""
        if self._labels is not None:
            checkpoint['pseudo_labels'] = dict(
                self._labels, records=copy.deepcopy(list(self.records)), original_sha256=self._original_hash)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Prepare data and classifiers for the checkpoint that a training is about to resume."""
        if not getattr(runner, 'is_resuming', False):
            return
        state = checkpoint.get('pseudo_labels')
        if state is None:
            raise CheckpointError('the checkpoint has no pseudo labels: it was not written by a training in rounds. To '
                                  'start one from its weights use --cfg-options load_from=FILE.')
        state = dict(state)
        self.records = RoundRecords(state.pop('records'))
        self._read_original(runner, state.pop('original_sha256'))
        self._labels = dict(state, labels=_array(state['labels']), mask=_array(state['mask']))
        epoch = checkpoint['meta']['epoch']
        if epoch % self.epochs_per_round or checkpoint.get('train_state', {}).get('batch_in_epoch'):
            self._lay_labels(runner)  # inside a round: the classifiers of the file have its classes
        elif epoch:  # between two rounds: those of the round before
            self._renew_classifiers(runner, int(state['previous_classes']))

    # ---- a round -----------------------------------------------------------------------------------------------------

    def _label(self, runner, number: int) -> None:
        dataset = self._dataset(runner)
        feats = extract_pool(runner, dataset.pool_view(), self.batch_size, self.num_workers)
        found: List[Any] = [None, None]
        result: Optional[PseudoLabels] = None
        if is_main_process():
            try:
                result = self.labeller(feats.feats, feats.camids)
                found[0] = self._report(runner, number, result, feats.pids)
            except ValueError as error:
                found[1] = str(error)
        broadcast_object_list(found)
        if found[1] is not None:
            raise PseudoLabelError(f'round {number}: {found[1]}')
        count = len(dataset.pool_rows)
        labels = torch.zeros(2, count, dtype=torch.int64)
        if result is not None:
            labels = torch.from_numpy(np.stack([result.labels, result.mask.astype(np.int64)]))
        broadcast(labels)
        self.records.of(number).update(found[0])
        previous = 0 if self._labels is None else dataset.metainfo['num_classes']
        self._labels = dict(round=number, labels=labels[0].numpy(), mask=labels[1].numpy().astype(bool),
                            previous_classes=previous)
        if is_main_process():
            self.records.write(runner.work_dir)
        if not self._labels['mask'].any() and not len(dataset.labelled_rows):
            raise PseudoLabelError(f'round {number} selects none of {count:,} images: {found[0].get("reason")}. '
                                   f'The labeller is {self.labeller.describe()}.')

    def _report(self, runner, number: int, result: PseudoLabels, pids: np.ndarray) -> Dict[str, Any]:
        """Log a labelling; returns its record."""
        record = dict(result.info)
        known = np.asarray(pids) >= 0
        if known.any():
            record['quality'] = label_quality(result.labels, result.mask, pids)
        size = record['selected_size']
        text = (f'Round {number}: {record["num_selected"]:,} of {record["num_images"]:,} images selected '
                f'({100 * record["fraction"]:.1f} %), {record["num_clusters"]:,} clusters of {size["min"]} to '
                f'{size["max"]} selected images (median {size["median"]:g})')
        if 'iterations' in record:
            text += f'; k-means {record["iterations"]} iterations, inertia {record["inertia"]:.6g}'
        if 'quality' in record:
            text += '; ' + ', '.join(f'{name} {value:.3f}' for name, value in record['quality'].items()
                                     if isinstance(value, float))
        runner.logger.info(text)
        for warning in record['warnings']:
            runner.logger.warning(f'Round {number}: {warning}')
        runner.visualizer.add_scalars({'pseudo/fraction': record['fraction'],
                                       'pseudo/clusters': record['num_clusters']}, step=number)
        return record

    def _begin_round(self, runner) -> None:
        """New data, new classifiers, a new optimizer, and the original weights if so asked."""
        number = self._labels['round']
        if self.restart == 'original' and number > 1:
            _network(runner).load_state_dict(self._original, strict=False)
        self._lay_labels(runner)
        runner.logger.info(f'Round {number} begins: {self._dataset(runner).summary()}')

    def _lay_labels(self, runner) -> None:
        dataset = self._dataset(runner)
        dataset.set_labels(self._labels['labels'], self._labels['mask'])
        loop = runner.train_loop
        left = runner.max_epochs - runner.epoch
        loop.dataloader = runner.build_dataloader(
            dict(self._fresh['train_dataloader'], dataset=dataset), seed=runner.seed,
            diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False))
        loop._max_iters = runner.iter + left * len(loop.dataloader)  # for the time that is left, in the log
        self._renew_classifiers(runner, dataset.metainfo['num_classes'])

    def _renew_classifiers(self, runner, num_classes: int) -> None:
        """Fresh classifiers, and an optimizer and schedules that know them."""
        network = _network(runner)
        device = next(network.parameters()).device
        with torch.random.fork_rng([device] if device.type == 'cuda' else []):
            # the same on every process, and after a resume
            torch.manual_seed(_STREAM + 1_000_003 * runner.seed + self._labels['round'])
            for head in _classifiers(network):
                head.reset_classifier(num_classes)
        if is_model_wrapper(runner.model):
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), network)
            runner.model.train()
        runner.optim_wrapper = runner.build_optim_wrapper(copy.deepcopy(self._fresh['optim_wrapper']))
        runner.optim_wrapper.initialize_count_status(runner.model, 0, runner.max_iters)
        if self._fresh['param_scheduler'] is not None:
            runner.param_schedulers = runner.build_param_scheduler(copy.deepcopy(self._fresh['param_scheduler']))

    # ---- original weights ------------------------------------------------------------------------------------------

    def _keep_original(self, runner) -> None:
        network = _network(runner)
        path = self._original_file(runner)
        self._original = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()
                          if '.classifier.' not in key}
        if is_main_process():
            write_checkpoint(dict(state_dict=self._original, meta=dict(source=str(runner._load_from))), path)
        self._original_hash = state_hash(self._original)

    def _read_original(self, runner, expected: str) -> None:
        path = self._original_file(runner)
        self._original = read_checkpoint(path)['state_dict']
        self._original_hash = state_hash(self._original)
        if self._original_hash != expected:
            raise CheckpointError(f'{path} does not hold the original weights of this training (its hash differs from '
                                  'that in the checkpoint). Put the file back, or start anew in another work_dir.')

    @staticmethod
    def _original_file(runner) -> Path:
        return Path(runner.work_dir) / 'original.pth'

    # ---- details -----------------------------------------------------------------------------------------------------

    @staticmethod
    def _dataset(runner) -> PseudoLabelDataset:
        return runner.train_loop.dataloader.dataset

    def _require(self, runner) -> None:
        if not isinstance(self._dataset(runner), PseudoLabelDataset):
            raise ValueError('PseudoLabelHook needs a PseudoLabelDataset as train_dataloader.dataset, got '
                             f'{type(self._dataset(runner)).__name__}')
        if not _classifiers(_network(runner)):
            raise ValueError('PseudoLabelHook needs a head with a classifier (ClassificationHead)')
        if not isinstance(runner.train_loop, EpochTrainLoop):
            raise ValueError('PseudoLabelHook counts rounds in epochs: set by_epoch=True in train_cfg')
        if runner.max_epochs % self.epochs_per_round:
            raise ValueError(f'max_epochs={runner.max_epochs} must be a multiple of epochs_per_round='
                             f'{self.epochs_per_round}')

    def before_run(self, runner) -> None:
        """Remember the configs of what begins anew each round."""
        cfg = runner.cfg
        self._fresh = {key: copy.deepcopy(cfg.get(key)) for key in ('train_dataloader', 'optim_wrapper',
                                                                   'param_scheduler')}


def _network(runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _classifiers(network: nn.Module) -> List[ClassificationHead]:
    return [head for head in network.modules() if isinstance(head, ClassificationHead)]


def _array(value: Union[np.ndarray, torch.Tensor]) -> np.ndarray:
    return value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
