"""What a network is made of and gives, found out without computing anything."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import torch
from torch import nn

from mmreid.models.backbones.pretrained import PREFIX
from mmreid.models.heads import ReIDHead
from mmreid.registry import MODELS
from mmreid.utils.weights import weight_differences

from ..runner.load_state import in_parts


@dataclass(frozen=True)
class Network:
    """What others rely on when they start from a network or are taught by it.

    Args:
        module (nn.Module): The network, where possible with tensors that have shapes and no values.
        feature_length (int, optional): Length of the feature vector, None if the network does not tell.
    """

    module: nn.Module
    feature_length: Optional[int]

    def follow(self, size: Tuple[int, int]) -> None:
        """Follow an image of another size through the network, as far as its feature needs it.

        Raises:
            Exception: Whatever applying it raises.
        """
        if not hasattr(self.module, 'extract_feature'):
            _embeddings(self.module, size)
            return
        with torch.no_grad():
            self.module.extract_feature(_empty_image(self.module, size))


def inspect_network(model: Mapping[str, Any], size: Tuple[int, int]) -> Network:
    """Build a network on the meta device (where tensors have shapes and no values) and follow one image through it.

    Args:
        model (Mapping[str, Any]): ``model`` of a config, with the number of classes filled in.
        size (Tuple[int, int]): Height and width of the images.

    Raises:
        Exception: Whatever building the network, or applying it to such an image, raises.
    """
    try:
        with torch.device('meta'):
            return _inspect(model, size)
    except Exception:  # a component may compute with values while it is built
        return _inspect(model, size)


def pretrained_files(model: Any, place: str = '') -> Iterator[Tuple[str, str]]:
    """Modules of a model config that begin with the weights of a file, by dotted name, and these files.

    Weights that torchvision gives are none; those of a teacher are not read from there.
    """
    if isinstance(model, (list, tuple)):
        model = dict(enumerate(model))
    if not isinstance(model, Mapping):
        return
    source = model.get('checkpoint')
    if model.get('type') == 'Pretrained' and isinstance(source, str) and not source.startswith(PREFIX):
        yield place.split('.init_cfg')[0], source
    for key, value in model.items():
        if (place, key) != ('', 'teacher'):
            yield from pretrained_files(value, f'{place}.{key}'.lstrip('.'))


def misfits(own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor],
            parts: Optional[Sequence[str]]) -> List[str]:
    """What keeps parts of one network from being taken over from another.

    Args:
        own (Mapping[str, torch.Tensor]): Weights of the network that starts; only shapes are looked at.
        given (Mapping[str, torch.Tensor]): Weights of what it starts from.
        parts (Sequence[str], optional): Names of modules that are taken over. None: everything but the heads.
    """
    if parts is None:
        parts = sorted({key.split('.')[0] for key in {**own, **given}} - {'heads'})
    problems: List[str] = []
    for part in parts:
        here, there = ({key: value for key, value in state.items() if in_parts(key, (part, ))}
                       for state in (own, given))
        if here and there:
            problems += [text for _, text in weight_differences(here, there)]
        else:
            problems.append(f'there is no "{part}" in {"what it starts from" if here else "this network"}')
    return problems


def _inspect(model: Mapping[str, Any], size: Tuple[int, int]) -> Network:
    module = MODELS.build(copy.deepcopy(dict(model))).eval()
    feats = _embeddings(module, size)
    if feats is None:
        return Network(module, None)
    with torch.no_grad():
        for head in module.modules():
            if isinstance(head, ReIDHead):
                _apply_head(head, feats)
    return Network(module, int(feats[module.feature_key].shape[1]))


def _embeddings(module: nn.Module, size: Tuple[int, int]) -> Optional[Mapping[str, torch.Tensor]]:
    """What a network makes of an empty image; None if it is of another kind."""
    if not hasattr(module, 'feature_key'):
        return None
    with torch.no_grad():
        return module(_empty_image(module, size), mode='tensor')


def _empty_image(module: nn.Module, size: Tuple[int, int]) -> torch.Tensor:
    return torch.zeros(1, 3, *size, device=next((weight.device for weight in module.parameters()), None))


def _apply_head(head: ReIDHead, feats: Mapping[str, torch.Tensor]) -> None:
    if head.in_key not in feats:
        raise ValueError(f'a {type(head).__name__} reads in_key={head.in_key!r}, the neck gives {sorted(feats)}')
    feat = feats[head.in_key]
    try:
        head(feat)
    except RuntimeError as error:
        raise ValueError(f'a {type(head).__name__} cannot read "{head.in_key}" of shape {tuple(feat.shape)}: '
                         f'{error}') from error
