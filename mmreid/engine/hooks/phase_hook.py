"""What is trained, and on which labels, as a function of the position in training."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from mmreid.engine.progressive.space import SearchSpace
from mmreid.registry import HOOKS

from .reach import refuse_unreached

#: Kinds of labels (``label_source`` of a sample; a sample that does not say has a true one).
LABEL_SOURCES = ('true', 'pseudo')


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes:
        name: Name in the log.
        begin: First epoch (or iteration) of the phase.
        frozen: Modules, by their dotted names, that keep their parameters and the statistics of their norms. A ``*``
            stands for any characters: ``'heads.ver*'``.
        trainable: The complement, in its place: modules that are trained, all else is frozen. None: ``frozen`` says.
        heads_off: Heads whose losses are left out, with ``*`` likewise.
        heads_on: The complement, in its place: heads whose losses count, all others are left out. None: ``heads_off``
            says.
        labels: Kinds of labels that count; None: all.
    """

    name: str
    begin: int
    frozen: Tuple[str, ...] = ()
    trainable: Optional[Tuple[str, ...]] = None
    heads_off: Tuple[str, ...] = ()
    heads_on: Optional[Tuple[str, ...]] = None
    labels: Optional[Tuple[str, ...]] = None

    def frozen_in(self, model: nn.Module) -> Tuple[List[nn.Module], List[nn.Parameter]]:
        """Modules and parameters of a model that are frozen.

        Raises:
            ValueError: If a name or a pattern fits none of its modules.
        """
        modules = {name: module for name, module in model.named_modules() if name}
        if self.trainable is None:
            frozen = [modules[name] for name in self._found(self.frozen, modules, model, 'freezes')]
            return frozen, list(dict.fromkeys(p for module in frozen for p in module.parameters()))
        trained = self._found(self.trainable, modules, model, 'trains')
        kept = {p for name in trained for p in modules[name].parameters()}
        # What holds a trained module cannot be in evaluation mode as a whole, but each of its other parts.
        frozen = _outermost(name for name in modules
                            if not any(_within(name, other) or _within(other, name) for other in trained))
        return [modules[name] for name in frozen], [p for p in model.parameters() if p not in kept]

    def off_among(self, heads: Sequence[str]) -> List[str]:
        """Which of the heads of a model are off.

        Raises:
            ValueError: If a name or a pattern fits none of them.
        """
        given, what = (self.heads_off, 'switches off') if self.heads_on is None else (self.heads_on, 'keeps')
        unknown = [name for name in given if not any(fnmatchcase(head, name) for head in heads)]
        if unknown:
            raise ValueError(f'phase "{self.name}" {what} the heads {unknown}; the model has {list(heads)}')
        named = [head for head in heads if any(fnmatchcase(head, name) for name in given)]
        return named if self.heads_on is None else [head for head in heads if head not in named]

    def _found(self, given: Iterable[str], modules: Dict[str, nn.Module], model: nn.Module, what: str) -> List[str]:
        """The modules that names and patterns fit, without those inside of others."""
        found: List[str] = []
        for name in given:
            fitting = [key for key in modules if fnmatchcase(key, name)]
            if not fitting:
                parent = name.rpartition('.')[0]
                near = [key for key in modules if key.rpartition('.')[0] == parent]
                raise ValueError(f'phase "{self.name}" {what} {name!r}, which the model does not have; there are '
                                 f'{", ".join(near) or ", ".join(dict(model.named_children()))}')
            found += fitting
        return _outermost(found)


@HOOKS.register_module()
class PhaseHook(Hook):
    """Divide a training into phases that differ in what is frozen, which heads count and which labels count.

    The phase is a function of the epoch (or iteration) alone, so nothing of it is stored: a training that is resumed
    inside a phase is in that phase. Two-stepped fine-tuning is two phases: first the new layers, then everything.

    A frozen module gets no gradient, is left alone by the optimizer (also by weight decay and momentum) and is in
    evaluation mode, so batch norm uses and keeps its statistics and dropout is off. What was frozen otherwise
    (``frozen_stages`` of a backbone) stays so in every phase, and is not set free by ``trainable``. After training
    everything is as before. Trials of a search of hyper-parameters are in the phase of the epoch that they precede.

    Args:
        phases (Sequence[dict]): Fields of :class:`Phase` each, in the order of their ``begin``; the first begins at 0,
            which need not be said.
        by_epoch (bool): Whether ``begin`` counts epochs or iterations, from 0. Defaults to True.
        cycle (int, optional): The phases begin anew after so many epochs (or iterations), as for rounds of pseudo
            labels. Defaults to None: once.

    Raises:
        ValueError: If the phases are not in order, or (when training starts) name modules, heads or labels that do not
            exist, leave nothing to train, are never reached, cannot be had under distributed training as
            configured, or choose labels where hyper-parameters are searched.

    Note:
        Priority ``ABOVE_NORMAL``. Under distributed training set ``find_unused_parameters=True`` in the config, because
        what is frozen has no gradient to wait for.

    Example:
        >>> custom_hooks = [dict(type='PhaseHook', phases=[
        ...     dict(name='new layers', frozen=('backbone', )),
        ...     dict(name='everything', begin=5)])]
        >>> two_steps = dict(type='PhaseHook', by_epoch=False, phases=[
        ...     dict(name='classifiers', trainable=('heads.id*', ), heads_on=('id*', )),
        ...     dict(name='everything', begin=20000)])
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

    def frozen_throughout(self, model: nn.Module) -> Set[nn.Parameter]:
        """Parameters of a network that no phase trains.

        Raises:
            ValueError: If a name or a pattern of a phase fits none of its modules.
        """
        return set.intersection(*(set(phase.frozen_in(model)[1]) for phase in self.phases))

    def before_train(self, runner) -> None:
        """Check the phases against the length of the training and against the model."""
        self._check_length(runner)
        if isinstance(getattr(runner.train_loop, 'space', None), SearchSpace) and any(
                phase.labels is not None for phase in self.phases):
            raise ValueError(f'PhaseHook has phases with labels, which trials of {type(runner.train_loop).__name__} '
                             'would not look at: leave the labels out, or train by epochs without a search')
        model = _network(runner)
        self._current, self._frozen = None, []
        self._trainable = {}
        for phase in self.phases:
            self._check(phase, model)
        wrapped = is_model_wrapper(runner.model)
        if wrapped and not runner.cfg.get('find_unused_parameters', False) and any(
                phase.frozen or phase.trainable or phase.heads_off or phase.heads_on for phase in self.phases):
            raise ValueError('PhaseHook freezes parts of the model, and distributed training would wait for their '
                             'gradients: set find_unused_parameters=True in the config.')

    def before_train_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Enter the phase of this iteration."""
        phase = self.steer(runner)
        if phase.labels is not None and data_batch is not None:
            for sample in data_batch['data_samples']:
                if sample.get('label_source', 'true') not in phase.labels:
                    sample.set_gt_label(-1)

    def steer(self, runner) -> Phase:
        """Bring the network into the phase of the position, and back into it after ``model.train()``."""
        phase = self.phase_at(runner.epoch, runner.iter)
        if phase != self._current:
            self._enter(phase, runner)
        for module in self._frozen:  # a loop calls model.train() whenever it likes
            if module.training:
                module.eval()
        return phase

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
        self._frozen, parameters = phase.frozen_in(model)
        self._trainable = {parameter: parameter.requires_grad for parameter in parameters}
        for parameter in self._trainable:
            parameter.requires_grad_(False)
            parameter.grad = None  # or the optimizer would apply it
        model.heads_off = frozenset(phase.off_among(_heads(model)))
        runner.logger.info(f'Phase "{phase.name}" from epoch {runner.epoch + 1}, iteration {runner.iter + 1}: '
                           f'{_description(phase)}')

    def _release(self, model: nn.Module) -> None:
        for parameter, trainable in self._trainable.items():
            parameter.requires_grad_(trainable)
        if self._frozen:
            model.train(model.training)  # the whole, because a backbone may keep parts of itself in evaluation mode
        self._trainable, self._frozen, self._current = {}, [], None
        model.heads_off = frozenset()

    def _check_length(self, runner) -> None:
        """Refuse a last phase that is never reached."""
        last = self.phases[-1]
        if len(self.phases) > 1:
            refuse_unreached(runner, 'PhaseHook', f'phase "{last.name}"', last.begin, self.by_epoch,
                             changes=self.cycle is not None, remedy='leave this phase out')

    @staticmethod
    def _check(phase: Phase, model: nn.Module) -> None:
        _, frozen = phase.frozen_in(model)
        heads = _heads(model)
        if phase.off_among(heads) == heads and heads:
            raise ValueError(f'phase "{phase.name}" switches off all heads, {heads}: nothing would be trained')
        kept = {id(p) for p in frozen}
        if not any(p.requires_grad and id(p) not in kept for p in model.parameters()):
            named = f'freezes {list(phase.frozen)}' if phase.trainable is None else f'trains {list(phase.trainable)}'
            raise ValueError(f'phase "{phase.name}" {named}: nothing is left to train')


def _heads(model: nn.Module) -> List[str]:
    return list(getattr(model, 'heads', {}))


def _within(name: str, other: str) -> bool:
    """Whether a module is another one or inside of it, by their dotted names."""
    return name == other or name.startswith(f'{other}.')


def _outermost(names: Iterable[str]) -> List[str]:
    """Names without those inside of others, and each once."""
    names = dict.fromkeys(names)
    return [name for name in names
            if not any(character == '.' and name[:place] in names for place, character in enumerate(name))]


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
        for one, other in (('frozen', 'trainable'), ('heads_off', 'heads_on')):
            if fields.get(one) is not None and fields.get(other) is not None:
                raise ValueError(f'phase {number} has {one} and {other}, of which each says the other')
        phase = Phase(fields.get('name', f'{number + 1}'), fields.get('begin', 0), _names(fields, 'frozen') or (),
                      _names(fields, 'trainable'), _names(fields, 'heads_off') or (), _names(fields, 'heads_on'),
                      _names(fields, 'labels'))
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
    if phase.trainable is not None:
        parts = [f'frozen: all but {", ".join(phase.trainable)}']
    if phase.heads_on is not None:
        parts.append(f'heads on: {", ".join(phase.heads_on)}')
    if phase.heads_off:
        parts.append(f'heads off: {", ".join(phase.heads_off)}')
    if phase.labels is not None:
        parts.append(f'labels: {", ".join(phase.labels)}')
    return '; '.join(parts)
