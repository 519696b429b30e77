"""Mixed-precision training on GPUs and CPUs."""

from typing import Union

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from mmreid.registry import OPTIM_WRAPPERS


def default_amp_dtype() -> torch.dtype:
    """float16 on a CUDA device; bfloat16 where float16 is not supported for training (CPUs)."""
    return torch.float16 if get_device() == 'cuda' else torch.bfloat16


@OPTIM_WRAPPERS.register_module()
class ReIDAmpOptimWrapper(AmpOptimWrapper):
    """Optimizer wrapper with automatic mixed precision (``--amp``), also on a CPU.

    mmengine's ``AmpOptimWrapper`` refuses to work without an accelerator. The loss is scaled for float16 only;
    bfloat16 has the range of float32 and needs no scaling.

    Args:
        dtype (str or torch.dtype): ``'float16'``, ``'bfloat16'``, or ``'auto'`` (see :func:`default_amp_dtype`).
            Defaults to ``'auto'``.
        loss_scale (str or float): ``'dynamic'`` or a fixed scale, used with float16. Defaults to ``'dynamic'``.
        **kwargs: Arguments of mmengine's ``OptimWrapper`` (``optimizer``, ``accumulative_counts``, ``clip_grad``).

    Raises:
        ValueError: If ``dtype`` is unknown, or float16 is asked for without a CUDA device.
    """

    def __init__(self, dtype: Union[str, torch.dtype] = 'auto', loss_scale: Union[str, float] = 'dynamic',
                 **kwargs) -> None:
        OptimWrapper.__init__(self, **kwargs)
        self.cast_dtype = _amp_dtype(dtype)
        scales = self.cast_dtype == torch.float16
        fixed = {} if loss_scale == 'dynamic' else {'init_scale': float(loss_scale)}
        self._scale_update_param = None if loss_scale == 'dynamic' else float(loss_scale)
        self.loss_scaler = torch.amp.GradScaler(get_device(), enabled=scales, **fixed)

    def load_state_dict(self, state_dict: dict) -> None:
        """Load the state; one saved without loss scaling (bfloat16) starts the scale anew where it is needed."""
        if not state_dict.get('loss_scaler'):
            state_dict.pop('loss_scaler', None)
        super().load_state_dict(state_dict)


def _amp_dtype(dtype: Union[str, torch.dtype]) -> torch.dtype:
    names = {'auto': default_amp_dtype(), 'float16': torch.float16, 'bfloat16': torch.bfloat16}
    chosen = names.get(dtype, dtype)
    if chosen not in (torch.float16, torch.bfloat16):
        raise ValueError(f'dtype must be one of {", ".join(names)}, got {dtype!r}')
    if chosen == torch.float16 and get_device() != 'cuda':
        raise ValueError(f'float16 training needs a CUDA device, and this is a {get_device()}. Use dtype="bfloat16".')
    return chosen
