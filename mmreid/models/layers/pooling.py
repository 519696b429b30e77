"""Global pooling of feature maps."""

import torch
from torch import nn

from mmreid.registry import MODELS

POOL_MODES = ('avg', 'max', 'gem')


@MODELS.register_module()
class GlobalPool(nn.Module):
    r"""Pool a feature map to a vector by its average, its maximum or its generalised mean (GeM).

    .. math:: \mathrm{GeM}(x) = \Big(\frac1{HW} \sum_{h,w} \max(x_{hw}, \epsilon)^p\Big)^{1/p}

    GeM (`Fine-tuning CNN Image Retrieval with No Human Annotation <https://arxiv.org/abs/1711.02512>`_) is the
    average for :math:`p = 1` and approaches the maximum for large :math:`p`. It is computed in float32, relative to
    the maximum so that no power overflows.

    Args:
        mode (str): ``'avg'``, ``'max'`` or ``'gem'``. Defaults to ``'avg'``.
        p (float): Exponent of GeM at the start; it is learned. Defaults to 3.
        eps (float): Smallest value GeM sees. Defaults to 1e-6.

    Shape:
        ``(N, C, H, W)`` -> ``(N, C)``.
    """

    def __init__(self, mode: str = 'avg', p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        if mode not in POOL_MODES:
            raise ValueError(f'mode of GlobalPool must be one of {POOL_MODES}, got {mode!r}')
        if p <= 0 or eps <= 0:
            raise ValueError(f'p and eps of GlobalPool must be positive, got p={p}, eps={eps}')
        self.mode, self.eps = mode, eps
        if mode == 'gem':
            self.p = nn.Parameter(torch.tensor(float(p)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool over height and width."""
        if self.mode == 'avg':
            return x.mean(dim=(2, 3))
        if self.mode == 'max':
            return x.amax(dim=(2, 3))
        values = x.float().clamp(min=self.eps)
        top = values.detach().amax(dim=(2, 3), keepdim=True)
        mean = (values / top).pow(self.p).mean(dim=(2, 3))
        return (top.flatten(1) * mean.pow(1 / self.p)).to(x.dtype)

    def extra_repr(self) -> str:
        """Mode, shown in the printed model."""
        return repr(self.mode)


def build_pool(pool: str | dict) -> nn.Module:
    """Build a pooling layer from a mode of :class:`GlobalPool` or from a full config."""
    return GlobalPool(pool) if isinstance(pool, str) else MODELS.build(pool)
