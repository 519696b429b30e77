"""Comparing the weights of a file with those of a model, so that a message can name every difference at once."""

import hashlib
from typing import List, Mapping, Sequence, Tuple

import torch

_SHOWN = 12


def weight_differences(own: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor]) -> List[Tuple[str, str]]:
    """What keeps ``weights`` from filling ``own``: name and description of each entry that is missing, of another
    shape, or left over."""
    problems = []
    for key, value in own.items():
        if key not in weights:
            problems.append((key, f'missing: {key} {tuple(value.shape)}'))
        elif weights[key].shape != value.shape:
            here, there = tuple(value.shape), tuple(weights[key].shape)
            problems.append((key, f'shape: {key} is {here} here, {there} in the file'))
    problems += [(key, f'left over: {key} {tuple(value.shape)}') for key, value in weights.items() if key not in own]
    return problems


def state_hash(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of the names, types, shapes and bits of a state dict; the same for any order and device."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f'{key} {value.dtype} {tuple(value.shape)}\n'.encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def listed(problems: Sequence[str]) -> str:
    """The first problems, one a line, and how many more there are."""
    lines = [*problems[:_SHOWN], *([f'... and {len(problems) - _SHOWN} more'] if len(problems) > _SHOWN else [])]
    return '\n  '.join(lines)
