"""What is trained, and on which labels, as a function of the position in training."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from mmreid.registry import HOOKS

#: Kinds of labels (``label_source`` of a sample; a sample that does not say has a true one).
LABEL_SOURCES = ('true', 'pseudo')


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes:
        name: Name in the log.
        begin: First epoch (or iteration) of the phase.
        frozen: Modules, by their dotted names, that keep their parameters and the statistics of their norms.
        heads_off: Heads whose losses are left out.
        labels: Kinds of labels that count; None: all.
    """

    name: str
    begin: int
    frozen: Tuple[str, ...] = ()
    heads_off: Tuple[str, ...] = ()
    labels: Optional[Tuple[str, ...]] = None


@HOOKS.register_module()
class PhaseHook(Hook):
    """Divide a training into phases that differ in what is frozen, which heads count and which labels count.

    The phase is a function of the epoch (or iteration) alone, so nothing of it is stored: a training that is resumed
    inside a phase is in that phase. Two-stepped fine-tuning is two phases: first the new layers, then everything.

    A frozen module gets no gradient, is left alone by the optimizer (also by weight decay and momentum) and is in
    evaluation mode, so batch norm uses and keeps its statistics and dropout is off. What was frozen otherwise
    (``frozen_stages`` of a backbone) stays so in every phase. After training everything is as before.

    Args:
        phases (Sequence[dict]): Fields of :class:`Phase` each, in the order of their ``begin``; the first begins at 0,
            which need not be said.
        by_epoch (bool): Whether ``begin`` counts epochs or iterations, from 0. Defaults to True.
        cycle (int, optional): The phases begin anew after so many epochs (or iterations), as for rounds of pseudo
            labels. Defaults to None: once.

    Raises:
        ValueError: If the phases are not in order, or (when training starts) name modules, heads or labels that do not
            exist, leave nothing to train, or cannot be had under distributed training as configured.

    Note:
        Priority ``ABOVE_NORMAL``. Under distributed training set ``find_unused_parameters=True`` in the config, because
        what is frozen has no gradient to wait for.

    Example:
        >>> custom_hooks = [dict(type='PhaseHook', phases=[
        ...     dict(name='new layers', frozen=('backbone', )),
        ...     dict(name='everything', begin=5)])]
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self, phases: Sequence[Dict[str, Any]], by_epoch: bool = True, cycle: Optional[int] = None) -> None:
        self.phases = _parse(phases)
        self.by_epoch, self.cycle = by_epoch, cycle
        last = self.phases[-1].begin
        if cycle is not None and cycle <= last:
            raise ValueError(f'cycle must be greater than the begin of the last phase, {last}, got {cycle}')
        self._current: Optional[Phase] = None
        self._frozen: List[nn.Module] = []
        self._trainable: Dict[nn.Parameter, bool] = {}

    def phase_at(self, epoch: int, iteration: int) -> Phase:
        """The phase of a position, both counted from 0."""
        position = epoch if self.by_epoch else iteration
        if self.cycle is not None:
            position %= self.cycle
        return [phase for phase in self.phases if phase.begin <= position][-1]

    def before_train(self, runner) -> None:
        """Check the phases against the model and remember what is trainable by itself."""
        model = _network(runner)
        self._current, self._frozen = None, []
        self._trainable = {}
        modules = dict(model.named_modules())
        for phase in self.phases:
            self._check(phase, modules, model)
        wrapped = is_model_wrapper(runner.model)
        if wrapped and not runner.cfg.get('find_unused_parameters', False) and any(
                phase.frozen or phase.heads_off for phase in self.phases):
            raise ValueError('PhaseHook freezes parts of the model, and distributed training would wait for their '
                             'gradients: set find_unused_parameters=True in the config.')

    def before_train_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Enter the phase of this iteration."""
        phase = self.phase_at(runner.epoch, runner.iter)
        if phase != self._current:
            self._enter(phase, runner)
        for module in self._frozen:  # a loop calls model.train() whenever it likes
            if module.training:
                module.eval()
        if phase.labels is not None and data_batch is not None:
            for sample in data_batch['data_samples']:
                if sample.get('label_source', 'true') not in phase.labels:
                    sample.set_gt_label(-1)

    def after_train(self, runner) -> None:
        """Leave the model as it was before training."""
        self.leave(runner)

    def leave(self, runner) -> None:
        """Leave the present phase: everything is as without this hook until the next batch. For whoever builds an
        optimizer or a distributed wrapper anew, which look at what needs gradients."""
        self._release(_network(runner))

    def _enter(self, phase: Phase, runner) -> None:
        model = _network(runner)
        self._release(model)
        self._current = phase
        modules = dict(model.named_modules())
        self._frozen = [modules[name] for name in phase.frozen]
        self._trainable = {parameter: parameter.requires_grad
                           for module in self._frozen for parameter in module.parameters()}
        for parameter in self._trainable:
            parameter.requires_grad_(False)
            parameter.grad = None  # or the optimizer would apply it
        model.heads_off = frozenset(phase.heads_off)
        runner.logger.info(f'Phase "{phase.name}" from epoch {runner.epoch + 1}, iteration {runner.iter + 1}: '
                           f'{_description(phase)}')

    def _release(self, model: nn.Module) -> None:
        for parameter, trainable in self._trainable.items():
            parameter.requires_grad_(trainable)
        if self._frozen:
            model.train(model.training)  # the whole, because a backbone may keep parts of itself in evaluation mode
        self._trainable, self._frozen, self._current = {}, [], None
        model.heads_off = frozenset()

    @staticmethod
    def _check(phase: Phase, modules: Dict[str, nn.Module], model: nn.Module) -> None:
        for name in phase.frozen:
            if name not in modules or not name:
                parent = name.rpartition('.')[0]
                near = [key for key in modules if key and key.rpartition('.')[0] == parent]
                raise ValueError(f'phase "{phase.name}" freezes {name!r}, which the model does not have; there are '
                                 f'{", ".join(near) or ", ".join(dict(model.named_children()))}')
        heads = list(getattr(model, 'heads', {}))
        unknown = [name for name in phase.heads_off if name not in heads]
        if unknown:
            raise ValueError(f'phase "{phase.name}" switches off the heads {unknown}; the model has {heads}')
        if heads and set(phase.heads_off) == set(heads):
            raise ValueError(f'phase "{phase.name}" switches off all heads, {heads}: nothing would be trained')
        frozen = {id(p) for name in phase.frozen for p in modules[name].parameters()}
        if not any(p.requires_grad and id(p) not in frozen for p in model.parameters()):
            raise ValueError(f'phase "{phase.name}" freezes {list(phase.frozen)}: nothing is left to train')


def _network(runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _parse(phases: Sequence[Dict[str, Any]]) -> List[Phase]:
    if not phases:
        raise ValueError('PhaseHook needs at least one phase')
    parsed = []
    for number, fields in enumerate(phases):
        unknown = sorted(set(fields) - set(Phase.__dataclass_fields__))
        if unknown:
            raise ValueError(f'phase {number} has unknown fields {unknown}; known: {list(Phase.__dataclass_fields__)}')
        if number and 'begin' not in fields:
            raise ValueError(f'phase {number} needs a begin; only the first begins at 0 by itself')
        phase = Phase(fields.get('name', f'{number + 1}'), fields.get('begin', 0), _names(fields, 'frozen') or (),
                      _names(fields, 'heads_off') or (), _names(fields, 'labels'))
        bad = sorted(set(phase.labels or ()) - set(LABEL_SOURCES))
        if bad or phase.labels == ():
            raise ValueError(f'labels of phase "{phase.name}" must be among {LABEL_SOURCES}, got {phase.labels}')
        parsed.append(phase)
    begins = [phase.begin for phase in parsed]
    if begins[0] != 0 or begins != sorted(set(begins)):
        raise ValueError(f'phases must begin at 0 and then at increasing positions, got {begins}')
    return parsed


def _names(fields: Dict[str, Any], key: str) -> Optional[Tuple[str, ...]]:
    value = fields.get(key)
    if isinstance(value, str):
        raise ValueError(f'{key} of a phase must be a list of names, got the string {value!r}; write ({value!r}, )')
    return None if value is None else tuple(value)


def _description(phase: Phase) -> str:
    parts = [f'frozen: {", ".join(phase.frozen) or "nothing"}']
    if phase.heads_off:
        parts.append(f'heads off: {", ".join(phase.heads_off)}')
    if phase.labels is not None:
        parts.append(f'labels: {", ".join(phase.labels)}')
    return '; '.join(parts)
