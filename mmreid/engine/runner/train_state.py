"""The parts of a training state that mmengine does not save: random generators, latent states, log history."""

import copy
import random
from typing import Any, Dict, List, Optional

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper, OptimWrapperDict
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


def require_one_optimizer(wrapper: Any) -> None:
    """Refuse what :class:`TrainState` cannot go back to.

    Raises:
        ValueError: If it is no wrapper of one optimizer.
    """
    if isinstance(wrapper, OptimWrapperDict) or not isinstance(wrapper, OptimWrapper):
        raise ValueError(f'a snapshot of a training needs one optimizer, got {type(wrapper).__name__}')


class TrainState:
    """Everything in memory that training steps change, to go back to: as if the steps in between had never been.

    Parameters, buffers, gradients and latent states of the network; the state, the rates and the counters of the
    optimizer and its wrapper, with the scale of the loss; parameter schedulers; the sampler, the generators of the
    loader and all random generators; the message hub; and plain attributes (numbers, texts, tuples) of all modules,
    such as whether they train and hyper-parameters that are steered.

    What hooks keep (averaged weights, for one) is not in it: steps without hooks do not touch that.

    Args:
        runner: A runner whose training has begun. It has one optimizer.

    Raises:
        ValueError: If it has several optimizers.

    Note:
        Tensors are copied where they are, on their device. :meth:`restore` writes into the tensors that were there, so
        that what holds on to them (optimizer, distributed wrapper, averaged weights) still does.
    """

    def __init__(self, runner: Any) -> None:
        wrapper = runner.optim_wrapper
        require_one_optimizer(wrapper)
        self._network, self._wrapper, self._hub = runner._bare_model, wrapper, runner.message_hub
        self._keep_network()
        self._keep_optimizer()
        batch_sampler = runner.train_dataloader.batch_sampler
        owners = [wrapper, wrapper.optimizer, batch_sampler, getattr(batch_sampler, 'sampler', None),
                  *all_schedulers(runner.param_schedulers), *self._network.modules()]
        self._attributes = [(owner, _plain_attributes(owner)) for owner in owners if owner is not None]
        generators = [getattr(owner, 'generator', None) for owner in (
            runner.train_dataloader, batch_sampler, getattr(batch_sampler, 'sampler', None))]
        self._generators = [(g, g.get_state()) for g in generators if isinstance(g, torch.Generator)]
        # Histories grow by replacing their arrays, so holding on to the arrays is enough.
        self._histories = {key: (buffer, dict(vars(buffer))) for key, buffer in self._hub.log_scalars.items()}
        self._info = copy.deepcopy((dict(self._hub.runtime_info), dict(self._hub._resumed_keys)))
        self._rng = rng_state()

    def restore(self) -> None:
        """Go back, as often as need be."""
        with torch.no_grad():
            for module, buffers in self._buffers:
                module._buffers.update(buffers)
            for tensor, kept in self._tensors:
                tensor.copy_(kept)
        for parameter, gradient in self._gradients:
            parameter.grad = None if gradient is None else gradient.clone()
        load_latent_state_dict(self._network, self._latent)
        self._restore_optimizer()
        for owner, attributes in self._attributes:
            vars(owner).update(_copied(attributes))
        for generator, state in self._generators:
            generator.set_state(state)
        self._restore_hub()
        set_rng_state(self._rng)

    def _keep_network(self) -> None:
        tensors = [*self._network.parameters(), *self._network.buffers()]
        self._tensors = [(tensor, tensor.detach().clone()) for tensor in tensors]
        self._buffers = [(module, dict(module._buffers)) for module in self._network.modules()]
        self._gradients = [(p, None if p.grad is None else p.grad.clone()) for p in self._network.parameters()]
        self._latent = latent_state_dict(self._network)  # cells replace their states and never overwrite them

    def _keep_optimizer(self) -> None:
        optimizer = self._wrapper.optimizer
        self._moments = {parameter: _copied(state) for parameter, state in optimizer.state.items()}
        self._groups = [{key: _copied(value) for key, value in group.items() if key != 'params'}
                        for group in self._wrapper.param_groups]
        scaler = getattr(self._wrapper, 'loss_scaler', None)
        self._scale = None if scaler is None else copy.deepcopy(scaler.state_dict())

    def _restore_optimizer(self) -> None:
        state = self._wrapper.optimizer.state
        state.clear()
        state.update({parameter: _copied(kept) for parameter, kept in self._moments.items()})
        for group, kept in zip(self._wrapper.param_groups, self._groups):
            group.update(_copied(kept))
        if self._scale is not None:
            self._wrapper.loss_scaler.load_state_dict(copy.deepcopy(self._scale))

    def _restore_hub(self) -> None:
        scalars = self._hub.log_scalars
        scalars.clear()
        for key, (buffer, attributes) in self._histories.items():
            vars(buffer).update(attributes)
            scalars[key] = buffer
        info, resumed = copy.deepcopy(self._info)
        for current, kept in ((self._hub.runtime_info, info), (self._hub._resumed_keys, resumed)):
            current.clear()
            current.update(kept)


#: Types of attributes that are values and not parts with a state of their own.
_PLAIN = (bool, int, float, complex, str, bytes, type(None), tuple, frozenset)
#: What a module keeps its parts in; they are not replaced.
_PARTS = frozenset(vars(nn.Module())) - {'training'}


def _plain_attributes(owner: Any) -> Dict[str, Any]:
    """Attributes of an object that hold plain values, or lists and dicts of such."""
    return {name: _copied(value) for name, value in getattr(owner, '__dict__', {}).items()
            if name not in _PARTS and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if type(value) in (list, set):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, value.values()))
    return type(value) in _PLAIN and (type(value) is not tuple or all(map(_is_plain, value)))


def _copied(value: Any) -> Any:
    """Containers and tensors as copies; what cannot change as it is."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if type(value) in (dict, list, tuple, set):
        return {k: _copied(v) for k, v in value.items()} if type(value) is dict else type(value)(map(_copied, value))
    return value if type(value) in _PLAIN else copy.deepcopy(value)


def all_schedulers(schedulers: Any) -> List[Any]:
    """Parameter schedulers of a runner as one list; none before they are built."""
    if isinstance(schedulers, dict):
        schedulers = [item for items in schedulers.values() for item in items]
    return list(schedulers or [])
