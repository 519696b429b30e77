"""Loading of ImageNet weights: every key of the backbone must be found."""

import http.client
import os
import pickle
import re

import torch
from mmengine.logging import print_log
from torch import nn
from torchvision.models import get_model_weights

from mmreid.utils.checkpoint import CheckpointError, read_checkpoint, strip_prefix

PREFIX = 'torchvision://'
_HINT = ('Fetch the file on a machine with network and pass it with `--cfg-options '
         'model.backbone.init_cfg.checkpoint=/path/to/{file}`, or train from scratch with `--cfg-options '
         'model.backbone.init_cfg=None`.')


def load_pretrained(backbone: nn.Module, checkpoint: str) -> None:
    """Load the weights of a backbone from torchvision or from a file.

    Args:
        backbone (nn.Module): A backbone whose parameters carry torchvision's names, or get them from these in its
            ``adapt_pretrained(state)``, as those of :class:`MGNResNet` do.
        checkpoint (str): ``'torchvision://resnet50'`` (the weights ``IMAGENET1K_V1``, downloaded once and checked
            against their hash) or the path of a file that holds a state dict, one under ``'state_dict'``, or that of
            a whole model, whose keys that begin with ``backbone.`` are taken. Files load with ``weights_only=True``.

    Raises:
        FileNotFoundError: If the file does not exist.
        RuntimeError: If the download fails; the message says what to do without network.
        ValueError: If a weight of the backbone is missing, misshapen or not known to it. Classifiers (``fc``,
            ``classifier``) may be left over. Also if the file is damaged or holds more than tensors.
    """
    if checkpoint.startswith(PREFIX):
        state = _download(checkpoint[len(PREFIX):])
    else:
        state = _read(checkpoint)
    state = {_modern_name(key): value for key, value in state.items()}
    if hasattr(backbone, 'adapt_pretrained'):
        state = backbone.adapt_pretrained(state)
    _load_every_key(backbone, state, checkpoint)
    print_log(f'loaded {checkpoint} into {type(backbone).__name__}', logger='current')


def _download(name: str) -> dict[str, torch.Tensor]:
    try:
        weights = get_model_weights(name).IMAGENET1K_V1
    except (ValueError, AttributeError) as error:
        raise ValueError(f'torchvision has no IMAGENET1K_V1 weights for a model named {name!r}') from error
    try:
        return weights.get_state_dict(progress=True, check_hash=True, map_location='cpu')
    except (OSError, http.client.HTTPException, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        file = weights.url.rsplit('/', 1)[-1]
        raise RuntimeError(
            f'could not get the ImageNet weights of {name} from {weights.url} ({type(error).__name__}: {error}). '
            f'{_HINT.format(file=file)} If an earlier download was cut short, delete {file} in '
            f'{os.path.join(torch.hub.get_dir(), "checkpoints")}.') from error


def _read(path: str) -> dict[str, torch.Tensor]:
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'no such file of pretrained weights: {path}. It may also be {PREFIX}NAME, or None to '
                                'train from scratch (`--cfg-options model.backbone.init_cfg=None`).')
    try:
        state = read_checkpoint(path)['state_dict']
    except CheckpointError as error:
        raise ValueError(f'{error} {_HINT.format(file=os.path.basename(path))}') from error
    return strip_prefix(strip_prefix(state, 'module.'), 'backbone.')


def _modern_name(key: str) -> str:
    """The hosted DenseNet files still say ``denselayer1.norm.1.weight`` for ``denselayer1.norm1.weight``."""
    return re.sub(r'(denselayer\d+\.(?:norm|conv))\.([12])\.', r'\1\2.', key)


def _load_every_key(backbone: nn.Module, state: dict[str, torch.Tensor], source: str) -> None:
    own = backbone.state_dict()
    missing = [key for key in own if key not in state and not key.endswith('num_batches_tracked')]
    unexpected = [key for key in state if key not in own and key.split('.')[0] not in ('fc', 'classifier')]
    misshapen = [
        f'{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}' for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if missing or unexpected or misshapen:
        raise ValueError(f'{source} does not fit {type(backbone).__name__}: missing {_some(missing)}; unexpected '
                         f'{_some(unexpected)}; of another shape {_some(misshapen)}')
    backbone.load_state_dict(state, strict=False)


def _some(names: list[str], most: int = 8) -> str:
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return (', '.join(names[:most]) or 'none') + more
