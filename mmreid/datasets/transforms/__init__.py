"""Data transforms: what mmcv and mmpretrain do not have.

Importing this package registers mmcv's transforms (``Resize``, ``RandomFlip``, ``Pad`` ...), so configs name them
without a scope; those of mmpretrain need theirs, as in ``mmpretrain.RandomErasing``.
"""

import mmcv.transforms  # noqa: F401

from .formatting import PackReIDInputs
from .loading import LoadImage

__all__ = ['LoadImage', 'PackReIDInputs']
