"""Rounds in which a network and a dictionary of its features teach each other."""

import copy
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import numpy as np
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import EMAHook

from mmreid.evaluation import ReIDMetric
from mmreid.pseudo_labels import PseudoLabels, anchor_labels, neighbour_quality
from mmreid.pseudo_labels.dictionary import save_dictionary
from mmreid.registry import HOOKS, TASK_UTILS
from mmreid.utils.features import Array

from .pseudo_label_hook import PseudoLabelHook

#: What metrics of the codes begin with, in front of the protocol.
CODES = 'codes'


@HOOKS.register_module()
class CoTrainingHook(PseudoLabelHook):
    r"""Co-training of a network and a graph-regularised dictionary, without labels.

    Geng et al., `Deep Transfer Learning for Person Re-identification <https://arxiv.org/abs/1611.05244>`_, section 4.2.
    In each round

    1. features :math:`y = \varphi(x)` of the unlabelled images are extracted,
    2. ``GraphDictionary`` learns a dictionary and codes z of them, with a graph that the features span,
    3. images get the labels of their nearest neighbours by z in the anchor camera (``CrossCameraNeighbours`` on codes),
    4. the network is fine-tuned on these, in two steps where a :class:`PhaseHook` with ``cycle=epochs_per_round`` says
       so; its features begin the next round.

    All else (fresh classifiers, checkpoints, what is resumed) is as in :class:`PseudoLabelHook`. Behind the last round
    a dictionary is learnt once more, so that every ``round_N.pth`` has its own, ``dictionary_round_N.npz``;
    ``dictionary_round_0.npz`` is that of the model before the first round (``original.pth``).

    Evaluation is by y. Where it comes at the end of a round or before the first, it is by the codes z, too
    (:class:`DictionaryCodes`), under names that begin with ``codes/``; not with ``EMAHook``, where the weights that are
    evaluated are averages and not those that the dictionary is of. Where ``runner.val()`` is called without a training,
    it is by the dictionary that lies beside the checkpoint that was loaded, if that stands at the end of a round: a
    stage of a recipe is evaluated so.

    The record of a round, in addition to what is there for every labeller: ``agreement``, the share of the images of
    the other cameras that get one label by y and by z; ``dictionary`` with ``first_objective``, ``objective``,
    ``iterations``, ``converged`` and its settings; where identities are known, ``quality`` has ``label_precision`` of
    the labels by z and ``feature_label_precision`` of those by y. In the last record, ``after`` has these numbers for
    the model that the training has ended with.

    Args:
        labeller (dict): Config of ``GraphDictionary``, or of a labeller with its methods ``fit``,
            ``labels_of`` and ``course_of``.
        epochs_per_round (int): Defaults to 20.
        restart (str): ``'continue'`` goes on with the newest network, as the paper has it ("the updated base network
            then produces input vectors and new graph"); ``'original'`` as in PUL. Defaults to ``'continue'``.
        evaluate_codes (bool): Whether evaluations are by z, too. Defaults to True.
        fit_only (bool): Learn the dictionary of the model as it comes, evaluate (``InitialEvaluationHook``) and end
            without training: "Subspace" of Table 9. Defaults to False.
        **kwargs: ``tolerance``, ``patience``, ``batch_size`` and ``num_workers`` of :class:`PseudoLabelHook`.

    Raises:
        ValueError: If the labeller is of another kind; else as :class:`PseudoLabelHook`.

    Note:
        Priority ``ABOVE_NORMAL``. The number of rounds is ``max_epochs / epochs_per_round``, 2 to 3 in the paper.

    Example:
        >>> default_hooks = dict(pseudo_labels=dict(
        ...     type='CoTrainingHook', epochs_per_round=6,
        ...     labeller=dict(type='GraphDictionary', num_atoms=256, weight=1.)))
        >>> custom_hooks = [dict(type='PhaseHook', cycle=6, phases=[
        ...     dict(name='classifiers', trainable=('heads.id*', ), heads_on=('id*', )),
        ...     dict(name='everything', begin=3)])]
    """

    def __init__(self, labeller: dict, epochs_per_round: int = 20, restart: str = 'continue',
                 evaluate_codes: bool = True, fit_only: bool = False, **kwargs: Any) -> None:
        super().__init__(labeller, epochs_per_round, restart, **kwargs)
        if not all(hasattr(self.labeller, name) for name in ('fit', 'labels_of', 'course_of')):
            raise ValueError('CoTrainingHook needs a labeller that learns a dictionary, GraphDictionary, got '
                             f'{type(self.labeller).__name__}; rounds with other labellers are those of '
                             'PseudoLabelHook')
        self.evaluate_codes, self.fit_only = evaluate_codes, fit_only
        self._is_training = self._has_warned = False
        #: Dictionary of the weights that were loaded.
        self._beside: Optional[Path] = None

    # ---- the course of a training --------------------------------------------------------------------------------

    def before_train(self, runner) -> None:
        """Label the first round; with ``fit_only`` that was all."""
        self._is_training, self._beside = True, None
        if runner.epoch < runner.max_epochs:
            for record in self.records:  # of a checkpoint with which a training was to end that now goes on
                record.pop('after', None)
        super().before_train(runner)
        if self.fit_only:
            runner.logger.info('fit_only=True: the dictionary is learnt, nothing is trained.')
            runner.train_loop.stop_training = True

    def after_train_epoch(self, runner) -> None:
        """End a round; behind the last, learn the dictionary of the network that the training ends with."""
        super().after_train_epoch(runner)
        done = runner.epoch + 1
        if done >= runner.max_epochs and not done % self.epochs_per_round and len(self._dataset(runner).pool_rows):
            number = done // self.epochs_per_round
            _, record = self._labels_of_pool(runner, number + 1)
            kept = ('agreement', 'dictionary', 'quality', 'mutual_share')
            self.records.of(number)['after'] = {key: record[key] for key in kept if key in record}
            if is_main_process():
                self.records.write(runner.work_dir)

    def after_train(self, runner) -> None:
        """What is evaluated from now on is no part of the training."""
        self._is_training = False

    # ---- labels --------------------------------------------------------------------------------------------------

    def _labelled(self, runner, number: int, feats: Array, camids: np.ndarray) -> PseudoLabels:
        """Learn the dictionary, keep it, and label by its codes."""
        fit = self.labeller.fit(feats, camids)
        save_dictionary(fit, self._file(runner, number - 1))
        result = self.labeller.labels_of(fit, feats, camids)
        _, rows = anchor_labels(feats, camids, result.info['anchor'])
        result.info['feature_neighbour_rows'] = rows.tolist()
        runner.logger.info(f'{self._title(runner, number)}: {self.labeller.course_of(fit)}')
        return result

    def _report(self, runner, number: int, result: PseudoLabels, pids: np.ndarray,
                camids: np.ndarray) -> Dict[str, Any]:
        """Log what both models say."""
        rows = np.asarray(result.info.pop('feature_neighbour_rows'), dtype=np.int64)
        record = super()._report(runner, number, result, pids, camids)
        text = f'{self._title(runner, number)}: y and z give {100 * record["agreement"]:.1f} % of the images one label'
        if 'quality' in record:
            record['quality']['feature_label_precision'] = neighbour_quality(rows, pids)['label_precision']
            text += (f'; precision {record["quality"]["label_precision"]:.3f} by z, '
                     f'{record["quality"]["feature_label_precision"]:.3f} by y')
        runner.logger.info(text)
        runner.visualizer.add_scalars({'pseudo/agreement': record['agreement']}, step=number)
        return record

    def _title(self, runner, number: int) -> str:
        last = runner.max_epochs // self.epochs_per_round
        return super()._title(runner, number) if number <= last else f'After round {last}'

    def _file(self, runner, number: int) -> Path:
        """Where the dictionary of the weights of ``round_N.pth`` lies."""
        return Path(runner.work_dir) / self._name(number)

    @staticmethod
    def _name(number: int) -> str:
        return f'dictionary_round_{number}.npz'

    # ---- evaluation ----------------------------------------------------------------------------------------------

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Note where the dictionary of these weights is."""
        super().after_load_checkpoint(runner, checkpoint)
        path = Path(runner._load_from or '')
        rounds, rest = divmod(checkpoint.get('meta', {}).get('epoch', 0), self.epochs_per_round)
        # Files named by iterations may stand inside an epoch; averaged weights are not those of the dictionary.
        fits = 'pseudo_labels' in checkpoint and not rest and 'iter_' not in path.name
        self._beside = (path.parent / self._name(rounds) if fits and 'ema_state_dict' not in checkpoint else None)

    def before_val_epoch(self, runner) -> None:
        """Where a dictionary belongs to the present weights, evaluate its codes, too."""
        self._withdraw(runner)
        if not self.evaluate_codes or (self._inside_a_round(runner) if self._is_training else self._beside is None):
            return
        if self._is_training and any(isinstance(hook, EMAHook) for hook in runner.hooks):
            if not self._has_warned:
                runner.logger.warning('The codes are not evaluated: the weights that are evaluated are the averages of '
                                      'EMAHook, and the dictionaries are learnt from features of those that are not '
                                      'averaged.')
            self._has_warned = True
            return
        path = self._file(runner, runner.epoch // self.epochs_per_round) if self._is_training else self._beside
        there = [path.is_file()]
        broadcast_object_list(there)  # what the main process sees, so that all processes evaluate the same
        if not there[0]:
            runner.logger.warning(f'The codes are not evaluated: {path} is not there.')
            return
        metrics = runner.val_loop.evaluator.metrics
        metrics += [_of_codes(metric, path) for metric in metrics if isinstance(metric, ReIDMetric)]

    def after_val_epoch(self, runner, metrics: Optional[Dict[str, float]] = None) -> None:
        """Note the results of a training."""
        self._withdraw(runner)
        if self._is_training:
            super().after_val_epoch(runner, metrics)

    @staticmethod
    def _withdraw(runner) -> None:
        evaluator = runner.val_loop.evaluator
        evaluator.metrics = [metric for metric in evaluator.metrics if not getattr(metric, 'of_codes', False)]


def _of_codes(metric: ReIDMetric, path: Union[str, Path]) -> ReIDMetric:
    """The same metric on codes, in front of what else happens to features."""
    steps: List[Any] = list(metric.post_processors)
    metric.post_processors = []  # these may hold what cannot be copied
    try:
        copied = copy.deepcopy(metric)
    finally:
        metric.post_processors = steps
    copied.results.clear()
    copied.prefix = f'{metric.prefix}/{CODES}' if metric.prefix else CODES
    copied.dump = copied.report = copied.rescue = copied.last_report = None
    copied.of_codes = True
    copied.post_processors = [TASK_UTILS.build(dict(type='DictionaryCodes', file=str(path))), *steps]
    return copied
