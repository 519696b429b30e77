"""The parts of a training state that mmengine does not save: random generators, latent states, log history."""

import random
from typing import Any, Dict, List, Optional

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.logging import HistoryBuffer
from torch import nn

from mmreid.models.layers import latent_state_dict, load_latent_state_dict


def rng_state() -> Dict[str, Any]:
    """State of every random generator of this process: Python, numpy, torch and each CUDA device in use."""
    kind, keys, position, has_gauss, cached = np.random.get_state()
    state = {
        'python': random.getstate(),
        'numpy': (kind, torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(cached)),
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state['cuda'] = [torch.cuda.get_rng_state()]
    return state


def set_rng_state(state: Dict[str, Any]) -> None:
    """Put back what :func:`rng_state` returned."""
    random.setstate(state['python'])
    kind, keys, position, has_gauss, cached = state['numpy']
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'][0].cpu())


def rank_state(model: nn.Module, inside_epoch: bool, accumulating: bool = False) -> Dict[str, Any]:
    """What only this process knows, on the CPU: its generators, latent states, gradients not yet applied.

    Args:
        model: The unwrapped model.
        inside_epoch: Whether the epoch goes on after this point. At its end latent states are about to be reset.
        accumulating: Whether gradients wait for further batches (gradient accumulation).
    """
    latent = latent_state_dict(model) if inside_epoch else {}
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None} if accumulating else {}
    return {'rng': rng_state(), 'latent': {name: state.cpu() for name, state in latent.items()},
            'grads': {name: grad.cpu() for name, grad in grads.items()}}


def restore_rank_state(model: nn.Module, state: Dict[str, Any]) -> None:
    """Put back what :func:`rank_state` returned."""
    load_latent_state_dict(model, state['latent'])
    for name, parameter in model.named_parameters():
        if name in state['grads']:
            parameter.grad = state['grads'][name].to(parameter.device)
    set_rng_state(state['rng'])


def gather_rank_states(state: Dict[str, Any]) -> Optional[List[Dict[str, Any]]]:
    """Collect the state of every rank on rank 0 (a collective call); None on the other ranks."""
    rank, world_size = get_dist_info()
    if world_size == 1:
        return [state]
    states = [None] * world_size if rank == 0 else None
    torch.distributed.gather_object(state, states, dst=0)
    return states


def pack_message_hub(state: Dict[str, Any]) -> Dict[str, Any]:
    """``MessageHub.state_dict()`` with each history as two arrays instead of a ``HistoryBuffer`` object."""
    scalars = {}
    for key, buffer in state['log_scalars'].items():
        values, counts = buffer.data
        scalars[key] = {'values': np.asarray(values, dtype=np.float64), 'counts': np.asarray(counts, dtype=np.int64),
                        'max_length': buffer.max_length}
    return {**state, 'log_scalars': scalars}


def unpack_message_hub(state: Dict[str, Any]) -> Dict[str, Any]:
    """Inverse of :func:`pack_message_hub`, after reading from a file."""
    scalars = {
        key: HistoryBuffer(item['values'].cpu().numpy(), item['counts'].cpu().numpy(), item['max_length'])
        for key, item in state['log_scalars'].items()
    }
    return {**state, 'log_scalars': scalars}
