"""Rounds of labelling unlabelled images and fine-tuning on them."""

import copy
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
import torch
from mmengine.dist import all_reduce_params, broadcast, broadcast_object_list, is_main_process
from mmengine.hooks import Hook

from mmreid.datasets.known_cameras import without_cameras
from mmreid.datasets.pseudo_labelled import PseudoLabelDataset
from mmreid.engine.pseudo_rounds import (
    FreshStart,
    OriginalWeights,
    RoundRecords,
    bare_network,
    classifiers,
    extract_pool,
    is_saturated,
)
from mmreid.engine.runner.loops import EpochTrainLoop
from mmreid.pseudo_labels import PseudoLabels, camera_mixing, label_quality, neighbour_quality
from mmreid.pseudo_labels.cross_camera import SAY_CAMERAS
from mmreid.registry import HOOKS, TASK_UTILS
from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.features import Array

from .checkpoint_hook import set_aside
from .phase_hook import PhaseHook

RESTARTS = ('original', 'continue')


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
       the labels (they are used for nothing else); a labeller gets no cameras where the images do not tell them,
    3. the overlay, the data loader and the classifiers are made anew, the latter with fresh weights, and the optimizer
       and the schedules (and averaged weights of ``EMAHook``) begin anew, too,
    4. with ``restart='original'`` all other weights are those from before the first round.

    Labelling for the next round comes at the end of an epoch, before its checkpoint, so every checkpoint has what is
    needed to go on. In the work directory, ``rounds.json`` has the record of every round and ``round_N.pth`` the
    weights at its end.

    Args:
        labeller (dict): Config of a labeller (``TASK_UTILS``). One whose ``seed`` is None draws with the seed of the
            training.
        epochs_per_round (int): Defaults to 20. The rounds are ``max_epochs / epochs_per_round``, 25 in the paper.
        restart (str): ``'original'`` fine-tunes the original model again each round (Algorithm 1, line 17),
            ``'continue'`` goes on with the newest one. Defaults to ``'original'``.
        tolerance (float): Change of the number of selected images, as a share of the pool, that counts as none.
            Defaults to 0.01.
        patience (int, optional): Rounds without a change after which training ends, unless everything is selected,
            which says nothing. Defaults to 2; None: never.
        batch_size (int): Images of a batch in the extraction. Defaults to 64.
        num_workers (int): Loading processes of the extraction. Defaults to 2.

    Raises:
        ValueError: If an argument is wrong, or (when training starts) data or model are not of the kind it needs.
        PseudoLabelError: If a round selects nothing and there are no labelled images, or less than a batch, or if the
            images cannot be labelled.
        CheckpointError: If a checkpoint that is resumed has no labels, was written with another ``epochs_per_round``
            or with other images, or the original weights that it names are not to be found.

    Note:
        Priority ``ABOVE_NORMAL``: before latent states are reset and before the checkpoint of the epoch. A training
        that is resumed, also inside a round, goes on with the labels of its checkpoint and equals an uninterrupted one
        bit for bit; the original weights lie in ``original.pth`` of the work directory, known by path and hash.
        Resumed with another labeller, it says so and keeps the labels of the checkpoint for their round. One that has
        ended because the selection settled ends again; one that ended with ``max_epochs`` goes on where there are more
        now.
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
        self._settings = dict(labeller=_settings_text(labeller), restart=restart)
        self.labeller = TASK_UTILS.build(labeller) if isinstance(labeller, dict) else labeller
        self.epochs_per_round, self.restart = epochs_per_round, restart
        self.tolerance, self.patience = tolerance, patience
        self.batch_size, self.num_workers = batch_size, num_workers
        self.records = RoundRecords()
        self._labels: Optional[Dict[str, Any]] = None  # of the round that runs or comes next
        self._original = OriginalWeights()
        self._fresh: Optional[FreshStart] = None
        self._seed: Optional[int] = None  # of the checkpoint that is resumed

    # ---- the course of a training --------------------------------------------------------------------------------

    def before_train(self, runner) -> None:
        """Keep the original weights and label the first round, unless a checkpoint has brought both."""
        self._require(runner)
        if runner.max_epochs % self.epochs_per_round:
            raise ValueError(f'max_epochs={runner.max_epochs} must be a multiple of epochs_per_round='
                             f'{self.epochs_per_round}')
        self._check_cameras(runner)
        if self._labels is None:
            self._set_aside(runner)
            self._original.keep(bare_network(runner), runner.work_dir, str(runner._load_from))
            self._label(runner, 1)
        elif not self._inside_a_round(runner):
            if runner.epoch < runner.max_epochs and self._labels['round'] == runner.epoch // self.epochs_per_round:
                self._label(runner, self._labels['round'] + 1)  # that training was to end here, this one is longer
            self._stop_if_settled(runner)

    def before_train_epoch(self, runner) -> None:
        """Begin a round."""
        if not self._inside_a_round(runner):
            self._begin_round(runner)

    def after_train_epoch(self, runner) -> None:
        """At the end of a round, keep its weights, and label for the next one or stop."""
        done = runner.epoch + 1
        if done % self.epochs_per_round:
            return
        _share_statistics(runner)
        runner.save_checkpoint(runner.work_dir, f'round_{done // self.epochs_per_round}.pth', save_optimizer=False,
                               save_param_scheduler=False)
        if done >= runner.max_epochs:
            return
        self._label(runner, done // self.epochs_per_round + 1)
        self._stop_if_settled(runner)

    def _stop_if_settled(self, runner) -> None:
        selected = [record['num_selected'] for record in self.records]
        if is_saturated(selected, len(self._dataset(runner).pool_rows), self.tolerance, self.patience):
            runner.logger.info(f'The number of selected images has settled ({selected[-self.patience - 1:]}): training '
                               f'ends after {len(selected) - 1} rounds.')
            runner.train_loop.stop_training = True

    def after_val_epoch(self, runner, metrics: Optional[Dict[str, float]] = None) -> None:
        """Note the result of the round that has just ended, or of the model before the first."""
        number = (runner.epoch + self.epochs_per_round - 1) // self.epochs_per_round
        if metrics and self.records and number <= len(self.records) and is_main_process():
            where = 'metrics' if number else 'initial_metrics'
            self.records[max(number, 1) - 1][where] = {key: float(value) for key, value in metrics.items()}
            self.records.write(runner.work_dir)

    # ---- checkpoints -----------------------------------------------------------------------------------------------

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add labels, selection, records, and what the original weights and the images are known by."""
        if self._labels is not None:
            checkpoint['pseudo_labels'] = dict(
                self._labels, records=copy.deepcopy(list(self.records)), original=self._original.reference(),
                classes=classifiers(bare_network(runner))[0].num_classes, images=self._dataset(runner).fingerprint(),
                settings=dict(self._settings, epochs_per_round=self.epochs_per_round))

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Prepare data and classifiers for the checkpoint that a training is about to resume."""
        if not getattr(runner, 'is_resuming', False):
            return
        self._require(runner)
        state = checkpoint.get('pseudo_labels')
        if state is None:
            raise CheckpointError('the checkpoint has no pseudo labels: it was not written by a training in rounds. To '
                                  'start one from its weights use --cfg-options load_from=FILE.')
        state, self._seed = dict(state), checkpoint['meta']['seed']  # the runner takes that seed over a little later
        self._compare_settings(runner, state.pop('settings'), state['round'])
        if state.pop('images') != self._dataset(runner).fingerprint():
            raise CheckpointError('the checkpoint has labels for other images than those of '
                                  f'{self._dataset(runner).source.summary()}. Resume with the data it was trained on, '
                                  'or start a training from its weights with --cfg-options load_from=FILE.')
        self.records = RoundRecords(state.pop('records'))
        self._original.find(state.pop('original'), runner.work_dir)
        classes, epoch = int(state.pop('classes')), checkpoint['meta']['epoch']
        self._labels = dict(round=state['round'], labels=_array(state['labels']), mask=_array(state['mask']))
        inside = epoch % self.epochs_per_round or checkpoint.get('train_state', {}).get('batch_in_epoch')
        if inside or state['round'] == epoch // self.epochs_per_round:
            self._lay_labels(runner)  # inside a round, or behind the last
        # Between two rounds the labels are those of the next, the classifiers those of the one before.
        self._fresh.training(runner, classes, self._seed, state['round'])

    def _compare_settings(self, runner, settings: Dict[str, Any], number: int) -> None:
        length = settings.get('epochs_per_round', self.epochs_per_round)
        if length != self.epochs_per_round:
            raise CheckpointError(f'the checkpoint was written with epochs_per_round={length}, and now it is '
                                  f'{self.epochs_per_round}: rounds would begin at other epochs. Resume with {length}, '
                                  'or start a training from its weights with --cfg-options load_from=FILE.')
        for key, value in self._settings.items():
            if settings.get(key, value) != value:
                runner.logger.warning(f'The checkpoint was written with {key} {settings[key]}, and now it is {value}. '
                                      f'Round {number} has its labels already; the new one counts for what comes '
                                      'after.')

    def _inside_a_round(self, runner) -> bool:
        return bool(runner.epoch % self.epochs_per_round or runner.train_loop.batch_in_epoch)

    # ---- a round -----------------------------------------------------------------------------------------------------

    def _label(self, runner, number: int) -> None:
        dataset = self._dataset(runner)
        count = len(dataset.pool_rows)
        result, record = self._labels_of_pool(runner, number) if count else (None, _nothing_to_label())
        labels = torch.zeros(2, count, dtype=torch.int64)
        if result is not None:
            labels = torch.from_numpy(np.stack([result.labels, result.mask.astype(np.int64)]))
        broadcast(labels)
        self.records.of(number).update(record, trained=False)
        self._labels = dict(round=number, labels=labels[0].numpy(), mask=labels[1].numpy().astype(bool))
        if is_main_process():
            self.records.write(runner.work_dir)
        if not self._labels['mask'].any() and not len(dataset.labelled_rows):
            raise PseudoLabelError(f'round {number} selects none of {count:,} images: {record.get("reason")}. '
                                   f'The labeller is {self.labeller.describe()}.')

    def _labels_of_pool(self, runner, number: int) -> Tuple[Optional[PseudoLabels], Dict[str, Any]]:
        """Labels, which only the main process has, and the record of the labelling."""
        feats = extract_pool(runner, self._dataset(runner).pool_view(), self.batch_size, self.num_workers)
        found: List[Any] = [None, None]
        result: Optional[PseudoLabels] = None
        failure: Optional[Exception] = None
        if is_main_process():
            if getattr(self.labeller, 'seed', 0) is None:
                self.labeller.seed = self._seed_of(runner)
            device = next(runner.model.parameters()).device
            try:
                given = torch.as_tensor(feats.feats).to(device) if device.type == 'cuda' else feats.feats
                camids = self._dataset(runner).pool_camids()
                result = self._labelled(runner, number, given, camids)
                found[0] = self._report(runner, number, result, feats.pids, camids)
            except Exception as error:  # whatever it is, no other process is to wait for labels that do not come
                failure, found[1] = error, str(error) or type(error).__name__
        broadcast_object_list(found)
        if found[1] is not None:
            if failure is not None and not isinstance(failure, ValueError):
                raise failure  # no matter of the images or the settings: the traceback is wanted
            raise PseudoLabelError(f'round {number}: {found[1]}') from failure
        return result, found[0]

    def _check_cameras(self, runner) -> None:
        """Say that cameras are not known, and end here where the labeller needs them, before features are
        extracted."""
        if not len(self._dataset(runner).pool_rows):
            return
        for name in without_cameras(self._dataset(runner).source):
            runner.logger.warning(f'{name} does not tell the cameras of its images: they count as of one, and how many '
                                  f'cameras a cluster has is not reported for one. {SAY_CAMERAS}.')
        if hasattr(self.labeller, 'check_cameras'):
            try:
                self.labeller.check_cameras(self._dataset(runner).pool_camids())
            except ValueError as error:
                raise PseudoLabelError(f'round {runner.epoch // self.epochs_per_round + 1}: {error}') from error

    def _labelled(self, runner, number: int, feats: Array, camids: Optional[np.ndarray]) -> PseudoLabels:
        """Ask the labeller, on the main process; what else is to be done with the features is done here."""
        return self.labeller(feats, camids)

    def _title(self, runner, number: int) -> str:
        """What a labelling is called in the log."""
        return f'Round {number}'

    def _report(self, runner, number: int, result: PseudoLabels, pids: np.ndarray,
                camids: Optional[np.ndarray]) -> Dict[str, Any]:
        """Log a labelling; returns its record."""
        record, title = dict(result.info), self._title(runner, number)
        record.pop('neighbour_rows', None)  # one number an image is too much for a record
        several = camids is not None and len(np.unique(camids)) > 1
        if several:
            record.update(camera_mixing(result.labels, result.mask, camids))
        if (np.asarray(pids) >= 0).any():
            record['quality'] = label_quality(result.labels, result.mask, pids)
            if several:
                mixing = camera_mixing(result.labels, result.mask, camids, pids)
                record['quality'].update({key: mixing[key] for key in ('cross_precision', 'cross_recall')})
            neighbours = neighbours_of(result)
            if neighbours is not None:
                record['quality'].update(neighbour_quality(neighbours, pids, result.mask))
        size = record['selected_size']
        text = (f'{title}: {record["num_selected"]:,} of {record["num_images"]:,} images selected '
                f'({100 * record["fraction"]:.1f} %), {record["num_clusters"]:,} clusters of {size["min"]} to '
                f'{size["max"]} selected images (median {size["median"]:g})')
        if 'inertia' in record:
            text += f'; k-means {record["iterations"]} iterations, inertia {record["inertia"]:.6g}'
        if several:
            text += (f'; {record["cameras_per_cluster"]:.2f} cameras a cluster, {100 * record["single_camera"]:.0f} % '
                     'of a single one')
        if 'anchor' in record:
            text += f'; classes from camera {record["anchor"]}, {record["selected_sizes"].count(1):,} of one image'
        if 'quality' in record:
            text += '; ' + ', '.join(f'{name} {value:.3f}' for name, value in record['quality'].items()
                                     if isinstance(value, float))
        runner.logger.info(text)
        for warning in record['warnings']:
            runner.logger.warning(f'{title}: {warning}')
        runner.visualizer.add_scalars({'pseudo/fraction': record['fraction'],
                                       'pseudo/clusters': record['num_clusters']}, step=number)
        return record

    def _begin_round(self, runner) -> None:
        """New data, new classifiers, a new optimizer, and the original weights if so asked."""
        number, dataset = self._labels['round'], self._dataset(runner)
        if self.restart == 'original' and number > 1:
            self._original.restore(bare_network(runner))
        self._lay_labels(runner)
        for hook in runner.hooks:
            if isinstance(hook, PhaseHook):
                hook.leave(runner)
        self._fresh.training(runner, dataset.metainfo['num_classes'], self._seed_of(runner), number)
        self.records.of(number)['trained'] = True
        if is_main_process():
            self.records.write(runner.work_dir)
        runner.logger.info(f'Round {number} begins: {dataset.summary()}')

    def _lay_labels(self, runner) -> None:
        dataset, loop = self._dataset(runner), runner.train_loop
        dataset.set_labels(self._labels['labels'], self._labels['mask'])
        loop.dataloader = self._fresh.dataloader(runner, dataset, self._seed_of(runner))
        if not len(loop.dataloader):
            raise PseudoLabelError(f'round {self._labels["round"]} has {len(dataset):,} images to train on, less than '
                                   f'one batch of {loop.dataloader.batch_size} in each of {runner.world_size} '
                                   'process(es), and a smaller one is dropped: select more, or set a smaller '
                                   'train_dataloader.batch_size')
        left = runner.max_epochs - runner.epoch
        loop._max_iters = runner.iter + left * len(loop.dataloader)  # for the time that is left, in the log

    # ---- details -----------------------------------------------------------------------------------------------------

    def before_run(self, runner) -> None:
        """Remember the configs of what begins anew each round."""
        self._fresh = FreshStart(runner.cfg)

    def _seed_of(self, runner) -> int:
        return runner.seed if self._seed is None else self._seed

    @staticmethod
    def _dataset(runner) -> PseudoLabelDataset:
        return runner.train_loop.dataloader.dataset

    @staticmethod
    def _require(runner) -> None:
        if not isinstance(runner.train_loop.dataloader.dataset, PseudoLabelDataset):
            raise ValueError('PseudoLabelHook needs a PseudoLabelDataset as train_dataloader.dataset, got '
                             f'{type(runner.train_loop.dataloader.dataset).__name__}')
        if not classifiers(bare_network(runner)):
            raise ValueError('PseudoLabelHook needs a head with a classifier (ClassificationHead)')
        if not isinstance(runner.train_loop, EpochTrainLoop):
            raise ValueError('PseudoLabelHook counts rounds in epochs: set by_epoch=True in train_cfg')

    @staticmethod
    def _set_aside(runner) -> None:
        """Rename what an earlier training in the same folder has left, or it would look as if it were of this one."""
        folder = Path(runner.work_dir)
        left = [path for path in (*folder.glob('round_*.pth'), *folder.glob('dictionary_round_*.npz'),
                                  folder / OriginalWeights.FILE, folder / RoundRecords.FILE, folder / 'rounds.png')
                if path.is_file()]
        if left and is_main_process():
            set_aside(left, runner.timestamp)
            runner.logger.warning(f'{len(left)} files of an earlier training in rounds were in {folder}. They are kept '
                                  f'with the ending .before_{runner.timestamp}.')


def neighbours_of(result: PseudoLabels) -> Optional[np.ndarray]:
    """Row of the image of the anchor camera that each image has its label from, int64 ``(N,)``; None where labels do
    not come from an anchor camera (``anchor`` in ``info``)."""
    if 'neighbour_rows' in result.info:
        return np.asarray(result.info['neighbour_rows'], dtype=np.int64)
    whole = len(result.exemplars) and result.exemplars.min() >= 0 and result.labels.min() >= 0
    return result.exemplars[result.labels] if 'anchor' in result.info and whole else None


def _nothing_to_label() -> Dict[str, Any]:
    """The record of a pool without images: everything has a true label."""
    return dict(num_images=0, num_selected=0, fraction=0., num_clusters=0, warnings=[], reason='the pool is empty')


def _share_statistics(runner) -> None:
    """Average the batch-norm statistics of all processes; the hook that does so each epoch comes later, and features
    of one pool must come from one network."""
    network = bare_network(runner)
    kept = network.state_dict().keys()  # latent states are not among them: these are private to each process
    all_reduce_params([value for key, value in network.named_buffers() if key in kept and value.is_floating_point()],
                      op='mean')


def _settings_text(labeller: Union[dict, Any]) -> str:
    """A labeller as its config says, to be compared after a resume."""
    if not isinstance(labeller, dict):
        return labeller.describe()
    kind = labeller.get('type')
    options = ', '.join(f'{key}={labeller[key]!r}' for key in sorted(labeller) if key != 'type')
    return f'{getattr(kind, "__name__", kind)}({options})'


def _array(value: Union[np.ndarray, torch.Tensor]) -> np.ndarray:
    return value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
