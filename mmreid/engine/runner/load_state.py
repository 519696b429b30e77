"""Loading weights with a complete account of what does not fit."""

import re
from collections import Counter
from logging import Logger
from typing import Dict, Iterable, Mapping, Optional, Sequence, Set, Tuple

import torch
from torch import nn

from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.weights import listed, weight_differences


def load_model_state(model: nn.Module, state_dict: Mapping[str, torch.Tensor], source: str,
                     may_differ: Tuple[str, ...] = (), revise_keys: Sequence = (),
                     logger: Optional[Logger] = None) -> Set[str]:
    """Load a state dict; what is neither complete nor excused is an error that lists everything at once.

    Args:
        model: Model to fill.
        state_dict: Weights by name.
        source: Name of the file, for messages.
        may_differ: Prefixes of parameters that may be missing, left over or of another shape (``('heads.',)``:
            classifiers of another data set); those keep their initial values and are reported.
        revise_keys: ``(pattern, replacement)`` pairs applied to the names.
        logger: Where excused differences are reported.

    Returns:
        The names of what was taken.

    Raises:
        CheckpointError: If anything else does not fit.
    """
    weights = _revised(state_dict, revise_keys)
    own = model.state_dict()
    problems = weight_differences(own, weights)
    fatal = [text for key, text in problems if not key.startswith(may_differ or ('\0', ))]
    if fatal:
        raise CheckpointError(
            f'{source} does not fit this {type(model).__name__}: {len(fatal)} differences in {len(own)} entries.\n  '
            f'{listed(fatal)}\nUse the config it was trained with, or take only the parts that fit, for example with '
            '--cfg-options load_parts=backbone (all of whose weights must be in the file).')
    excused = {key for key, _ in problems}
    if excused and logger is not None:
        logger.warning(f'{len(excused)} entries under {", ".join(may_differ)} are not taken from {source} (usual when '
                       f'the classes differ):\n  {listed([text for _, text in problems])}')
    taken = {key: value for key, value in weights.items() if key in own and key not in excused}
    model.load_state_dict(taken, strict=False)
    return set(taken)


def load_model_parts(model: nn.Module, state_dict: Mapping[str, torch.Tensor], source: str, parts: Sequence[str],
                     revise_keys: Sequence = (), logger: Optional[Logger] = None) -> Set[str]:
    """Load some parts of a network, completely; everything else is left as it is.

    Args:
        model: Model to fill.
        state_dict: Weights by name.
        source: Name of the file, for messages.
        parts: Names of modules or parameters: ``('backbone', 'neck')``, ``('heads.id.hidden',)``.
        revise_keys: ``(pattern, replacement)`` pairs applied to the names in the file.
        logger: Where it is told what was taken and what was not.

    Returns:
        The names of what was taken.

    Raises:
        CheckpointError: If a part is absent from the model or the file, or anything in a part does not fit.
    """
    weights = _revised(state_dict, revise_keys)
    own = model.state_dict()
    for part in parts:
        for where, names in ((f'this {type(model).__name__}', own), (source, weights)):
            if not any(in_parts(key, (part, )) for key in names):
                raise CheckpointError(f'load_parts names "{part}", and {where} has no weights under that name. It has: '
                                      f'{_count(names)}.')
    chosen = {key: value for key, value in weights.items() if in_parts(key, parts)}
    problems = weight_differences({key: value for key, value in own.items() if in_parts(key, parts)}, chosen)
    if problems:
        raise CheckpointError(
            f'{", ".join(parts)} of {source} does not fit this {type(model).__name__}: {len(problems)} differences.\n  '
            f'{listed([text for _, text in problems])}\nIn a part that load_parts names every weight must fit; leave '
            'out the parts that differ.')
    model.load_state_dict(chosen, strict=False)
    if logger is not None:
        ours = _count([key for key in own if key not in chosen])
        theirs = _count([key for key in weights if key not in chosen])
        logger.info(f'load_parts: took {_count(chosen)} from {source}; not taken: {ours}, which keep their initial '
                    f'values here; left in the file: {theirs}')
    return set(chosen)


def in_parts(key: str, parts: Iterable[str]) -> bool:
    """Whether a parameter belongs to one of the parts: it is named so, or lies below."""
    return any(key == part or key.startswith(f'{part}.') for part in parts)


def _count(names: Iterable[str]) -> str:
    """Weights by their room in the network: ``backbone (60 tensors), neck (1 tensor)``."""
    counts = Counter(name.split('.')[0] for name in names)
    return ', '.join(f'{room} ({count} tensor{"s" * (count > 1)})' for room, count in counts.items()) or 'nothing'


def _revised(state_dict: Mapping[str, torch.Tensor], revise_keys: Sequence) -> Dict[str, torch.Tensor]:
    revised = {}
    for key, value in state_dict.items():
        for pattern, replacement in revise_keys:
            key = re.sub(pattern, replacement, key)
        revised[key] = value
    return revised
