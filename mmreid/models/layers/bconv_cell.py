"""The batch-related convolutional cell of PTL and the handling of its latent state."""

from collections.abc import Callable, Iterator

import torch
from mmengine.model import is_model_wrapper
from torch import nn

from mmreid.models.utils import at_least_float32
from mmreid.registry import MODELS

STATE_MODES = ('sample', 'batch')
SMALLER_BATCH = ('keep', 'truncate')


@MODELS.register_module()
class BConvCell(nn.Module):
    r"""Batch-related convolutional cell, Eq. (1) of `Progressive Transfer Learning
    <https://arxiv.org/abs/1908.02492>`_.

    .. math::
        i_b &= \sigma(W_{xi} * x_b + b_i), \quad f_b = \sigma(W_{xf} * x_b + b_f), \quad
        o_b = \sigma(W_{xo} * x_b + b_o) \\
        C_b &= f_b \circ C_{b-1} + i_b \circ \tanh(W_{xc} * x_b + b_c), \quad y_b = o_b \circ \tanh(C_b)

    The latent state :math:`C` is carried from one training batch to the next, detached from the graph. Evaluation
    uses a zero state and neither reads nor writes the one of training, so a feature never depends on what was seen
    before or on what else is in the batch.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the state and of the output.
        kernel_size (int): Defaults to 3.
        stride (int): Defaults to 1.
        padding (int): Defaults to 1.
        bias (bool): Whether the gates have the biases of Eq. (1). Defaults to True.
        state_mode (str): ``'sample'`` keeps one state for each row of the batch: row ``n`` reads and writes slot
            ``n``, a row without a slot starts from zero. ``'batch'`` keeps a single state that every row reads and
            that becomes the mean over the rows of the new states. Defaults to ``'sample'``.
        on_smaller_batch (str): In mode ``'sample'``, what happens to the slots beyond a smaller batch: ``'keep'``
            or ``'truncate'`` (drop them). Defaults to ``'keep'``.

    Shape:
        ``(N, in_channels, H, W)`` -> ``(N, out_channels, H', W')``, sizes as for ``nn.Conv2d``.

    Raises:
        ValueError: If a mode is unknown, or if the spatial size changes while a state is held in training.

    Note:
        The text says that :math:`C_b` is 3-dimensional; the authors' code keeps one state per row (4-dimensional).
        Their code has no biases, starts the state from noise (std 0.001) and drops the slots beyond a smaller batch.
        Here biases are on, the state starts at zero and slots are kept. Gate weights are drawn as in their code
        (normal, fan-in, gain :math:`\sqrt 2`).

        The state is an ordinary attribute, not a registered buffer: it is absent from ``state_dict``, moves with
        ``.to(device)``, and is left alone by what acts on all buffers of a model (DistributedDataParallel broadcasts
        them from rank 0; averaged models copy them pairwise). It stays float32 under autocast and ``.half()``, and
        is replaced, never written in place.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 kernel_size: int = 3,
                 stride: int = 1,
                 padding: int = 1,
                 bias: bool = True,
                 state_mode: str = 'sample',
                 on_smaller_batch: str = 'keep') -> None:
        super().__init__()
        if state_mode not in STATE_MODES:
            raise ValueError(f'state_mode must be one of {STATE_MODES}, got {state_mode!r}')
        if on_smaller_batch not in SMALLER_BATCH:
            raise ValueError(f'on_smaller_batch must be one of {SMALLER_BATCH}, got {on_smaller_batch!r}')
        self.in_channels, self.out_channels = in_channels, out_channels
        self.state_mode, self.on_smaller_batch = state_mode, on_smaller_batch
        #: One convolution for all gates; output channels in the order input, forget, output, candidate.
        self.gates = nn.Conv2d(in_channels, 4 * out_channels, kernel_size, stride, padding, bias=bias)
        nn.init.kaiming_normal_(self.gates.weight, mode='fan_in')
        if bias:
            nn.init.zeros_(self.gates.bias)
        #: Latent state ``(slots, C, H, W)``, one slot in mode ``'batch'``; None before the first training batch.
        self.state: torch.Tensor | None = None

    def reset_state(self) -> None:
        """Forget what was collected: the next training batch starts from a zero state."""
        self.state = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the output of a batch and, in training, advance the state."""
        gates = self.gates(x)
        i, f, o, candidate = gates.chunk(4, dim=1)
        new = i.sigmoid() * at_least_float32(candidate.tanh())
        if self.training:
            previous = self._previous_state(new)
            if previous is not None:
                new = f.sigmoid() * previous + new
            self.state = self._next_state(new.detach().float())
        return (o.sigmoid() * new.tanh()).to(gates.dtype)

    def _previous_state(self, like: torch.Tensor) -> torch.Tensor | None:
        """The part of the state that the rows of a batch read; missing slots are zero."""
        if self.state is None:
            return None
        if self.state.shape[1:] != like.shape[1:]:
            raise ValueError(
                f'the spatial size of BConvCell changed in training: its latent state is {tuple(self.state.shape[2:])}'
                f' and the batch gives {tuple(like.shape[2:])} (height, width). Keep one input size within an epoch, '
                'or forget the state with reset_latent_states(model) before the size changes.')
        missing = len(like) - len(self.state)
        if self.state_mode == 'batch' or missing == 0:
            return self.state
        if missing < 0:
            return self.state[:len(like)]
        return torch.cat([self.state, self.state.new_zeros(missing, *self.state.shape[1:])])

    def _next_state(self, new: torch.Tensor) -> torch.Tensor:
        if self.state_mode == 'batch':
            return new.mean(dim=0, keepdim=True)
        if self.on_smaller_batch == 'keep' and self.state is not None and len(self.state) > len(new):
            return torch.cat([new, self.state[len(new):]])
        return new

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> 'BConvCell':
        """Move the state with the module, but keep it float32 (``fn`` may convert the type)."""
        super()._apply(fn, recurse)
        if self.state is not None:
            self.state = self.state.to(fn(self.state.new_empty(0)).device)
        return self

    def extra_repr(self) -> str:
        """Modes, shown in the printed model."""
        return f'state_mode={self.state_mode!r}, on_smaller_batch={self.on_smaller_batch!r}'


def _cells(model: nn.Module) -> Iterator[tuple[str, BConvCell]]:
    model = model.module if is_model_wrapper(model) else model
    return ((name, module) for name, module in model.named_modules() if isinstance(module, BConvCell))


def reset_latent_states(model: nn.Module) -> int:
    """Reset the latent state of every :class:`BConvCell` of a model and return how many cells it has."""
    cells = [cell for _, cell in _cells(model)]
    for cell in cells:
        cell.reset_state()
    return len(cells)


def latent_state_dict(model: nn.Module) -> dict[str, torch.Tensor]:
    """Latent states by cell name, only those that are not empty.

    A checkpoint written inside an epoch needs them beside ``model.state_dict()``. The tensors are those of the cells,
    which replace and never overwrite them. Names are without the prefix of a distributed wrapper.
    """
    return {name: cell.state for name, cell in _cells(model) if cell.state is not None}


def load_latent_state_dict(model: nn.Module, states: dict[str, torch.Tensor]) -> None:
    """Put back what :func:`latent_state_dict` returned; a cell that is not named starts from zero.

    Raises:
        ValueError: If a name is not a cell of the model, or a state does not have the channels of its cell.
    """
    cells = dict(_cells(model))
    unknown = sorted(set(states) - set(cells))
    if unknown:
        raise ValueError(f'latent states of unknown cells {unknown}; the cells of the model are {sorted(cells)}')
    for name, state in states.items():
        if state.dim() != 4 or state.shape[1] != cells[name].out_channels:
            raise ValueError(f'latent state of {name!r} must have shape (slots, {cells[name].out_channels}, H, W), '
                             f'got {tuple(state.shape)}')
    for name, cell in cells.items():
        state = states.get(name)
        cell.state = None if state is None else state.detach().to(cell.gates.weight.device, torch.float32)
