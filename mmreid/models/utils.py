"""Small helpers of the models."""

import torch


def at_least_float32(x: torch.Tensor) -> torch.Tensor:
    """Widen half precision to float32; leave float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
