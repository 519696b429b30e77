"""Loading weights with a complete account of what does not fit."""

import re
from logging import Logger
from typing import Dict, List, Mapping, Sequence, Tuple

import torch
from torch import nn

from mmreid.utils.checkpoint import CheckpointError

_SHOWN = 12


def load_model_state(model: nn.Module, state_dict: Mapping[str, torch.Tensor], source: str,
                     may_differ: Tuple[str, ...] = (), revise_keys: Sequence = (), logger: Logger = None) -> None:
    """Load a state dict; what is neither complete nor excused is an error that lists everything at once.

    Args:
        model: Model to fill.
        state_dict: Weights by name.
        source: Name of the file, for messages.
        may_differ: Prefixes of parameters that may be missing, left over or of another shape (``('heads.',)``:
            classifiers of another data set); those keep their initial values and are reported.
        revise_keys: ``(pattern, replacement)`` pairs applied to the names.
        logger: Where excused differences are reported.

    Raises:
        CheckpointError: If anything else does not fit.
    """
    weights = {_revise(key, revise_keys): value for key, value in state_dict.items()}
    own = model.state_dict()
    problems = _differences(own, weights)
    fatal = [text for key, text in problems if not key.startswith(may_differ or ('\0', ))]
    if fatal:
        raise CheckpointError(
            f'{source} does not fit this {type(model).__name__}: {len(fatal)} differences in {len(own)} entries.\n  '
            + '\n  '.join(fatal[:_SHOWN]) + (f'\n  ... and {len(fatal) - _SHOWN} more' if len(fatal) > _SHOWN else '')
            + '\nUse the config it was trained with. To take over its backbone alone, set '
            "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=FILE) instead of load_from.")
    excused = {key for key, _ in problems}
    if excused and logger is not None:
        logger.warning(f'{len(excused)} entries under {", ".join(may_differ)} are not taken from {source} (usual when '
                       'the classes differ):\n  ' + '\n  '.join(text for _, text in problems[:_SHOWN]))
    model.load_state_dict({key: value for key, value in weights.items() if key in own and key not in excused},
                          strict=False)


def _revise(key: str, revise_keys: Sequence) -> str:
    for pattern, replacement in revise_keys:
        key = re.sub(pattern, replacement, key)
    return key


def _differences(own: Dict[str, torch.Tensor], weights: Dict[str, torch.Tensor]) -> List[Tuple[str, str]]:
    problems = []
    for key, value in own.items():
        if key not in weights:
            problems.append((key, f'missing: {key} {tuple(value.shape)}'))
        elif weights[key].shape != value.shape:
            here, there = tuple(value.shape), tuple(weights[key].shape)
            problems.append((key, f'shape: {key} is {here} here, {there} in the file'))
    problems += [(key, f'left over: {key} {tuple(value.shape)}') for key, value in weights.items() if key not in own]
    return problems
