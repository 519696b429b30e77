"""GoogLeNet with the taps of its auxiliary branches."""

from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from torch import nn
from torchvision.models import get_model

from mmreid.registry import MODELS

from .base import TapBackbone
from .googlenet_original import original_layers

#: Layers by tap, the image left out. The norms of the stem are the original network's alone.
LAYERS = (
    ('conv1', 'maxpool1', 'norm1', 'conv2', 'conv3', 'norm2', 'maxpool2'),
    ('inception3a', 'inception3b'),
    ('maxpool3', 'inception4a'),
    ('inception4b', 'inception4c', 'inception4d'),
    ('inception4e', 'maxpool4', 'inception5a', 'inception5b'),
)
#: Taps that ``out_indices`` counts: those of the two auxiliary branches and the last one.
TAPS = (3, 4, 5)
#: Parts of torchvision's file that are no backbone.
CLASSIFIERS = ('aux1', 'aux2', 'fc')
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@MODELS.register_module()
class GoogLeNet(TapBackbone):
    """GoogLeNet (Inception v1) of `Going Deeper with Convolutions <https://arxiv.org/abs/1409.4842>`_ without pooling,
    auxiliary branches and classifiers: the base network of `Deep Transfer Learning for Person Re-identification
    <https://arxiv.org/abs/1611.05244>`_, section 3.1.

    =====  =================  ======  ========  ==================
    index  map after          stride  channels  map of 224 x 224
    =====  =================  ======  ========  ==================
    0      inception4a        16      512       14 x 14
    1      inception4d        16      528       14 x 14
    2      inception5b        32      1024      7 x 7
    =====  =================  ======  ========  ==================

    With ``batch_norm=True`` it is torchvision's network, with its names, so that its ImageNet weights load:
    ``init_cfg=dict(type='Pretrained', checkpoint='torchvision://googlenet')`` or the path of that file, see
    :func:`load_pretrained`. The keys of ``aux1``, ``aux2`` and ``fc`` in it are passed over: they belong to no
    backbone, and torchvision says that those of the auxiliary branches are not trained. Otherwise it is the published
    network, see :func:`original_layers`, for which torchvision has no weights.

    Args:
        batch_norm (bool): Batch norm after every convolution, no biases, no local response normalisation, 3x3
            convolutions where the paper has 5x5, and 2x2 instead of 3x3 in the last max pooling. Defaults to True.
        transform_input (bool, optional): Rescale images that were normalised with ImageNet's mean and standard
            deviation (the default of :class:`ReIDDataPreprocessor`, in RGB order) to -1 ... 1, which torchvision's
            weights were trained on. Defaults to None: as ``batch_norm``. It does not look at ``init_cfg``, so that the
            same config fits before and after training.
        out_indices (Sequence[int]): Maps to return, of the table above, in increasing order. What none of them needs
            is neither run nor trained. Defaults to (0, 1, 2).
        frozen_stages (int): -1 trains everything, 0 freezes the stem, 1 also inception3, 2 and 3 all up to index 0
            and index 1, 4 everything, with the statistics of their norms. Defaults to -1.
        norm_eval (bool): See :class:`TapBackbone`. Defaults to False.
        init_cfg (dict, optional): See :class:`TapBackbone`. Defaults to None: drawn as torchvision or, without batch
            norm, the published training draws them.

    Shape:
        ``(N, 3, H, W)`` -> tuple of maps.

    Raises:
        ValueError: If an argument is wrong, or weights with batch norm are loaded into the network without.

    Note:
        ``transform_input`` is the affine map ``x * std / 0.5 + (mean - 0.5) / 0.5``. The convolution pads with zeros,
        which are mid-grey here and ImageNet's mean without it.
    """

    tap_channels = (3, 192, 480, 512, 528, 1024)

    def __init__(self,
                 batch_norm: bool = True,
                 transform_input: bool | None = None,
                 out_indices: Sequence[int] = (0, 1, 2),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 init_cfg: dict | None = None) -> None:
        indices = tuple(out_indices)
        if not indices or list(indices) != sorted(set(indices) & set(range(len(TAPS)))):
            raise ValueError('out_indices of GoogLeNet must be increasing numbers of 0 (inception4a), 1 (inception4d) '
                             f'and 2 (inception5b), got {indices}')
        # The base counts taps from the image on.
        super().__init__([TAPS[i] for i in indices], frozen_stages, norm_eval, init_cfg)
        self.batch_norm = batch_norm
        self.transform_input = batch_norm if transform_input is None else transform_input
        layers = dict(get_model('googlenet', weights=None, aux_logits=False, init_weights=True).named_children()
                      ) if batch_norm else original_layers()
        for name in sum(LAYERS, ()):
            if name in layers:
                self.add_module(name, layers[name])
        # In Python's precision, as torchvision does: in float32 the difference would lose digits.
        scale = [std / 0.5 for std in IMAGENET_STD]
        shift = [(mean - 0.5) / 0.5 for mean in IMAGENET_MEAN]
        self.register_buffer('input_scale', torch.tensor(scale).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('input_shift', torch.tensor(shift).view(1, 3, 1, 1), persistent=False)
        self._finish()

    def blocks(self) -> list[tuple[nn.Module, ...]]:
        """The stem, inception3, and what leads to the three maps."""
        return [tuple(getattr(self, name) for name in names if hasattr(self, name)) for names in LAYERS]

    def adapt_pretrained(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Leave out the auxiliary branches and the classifier."""
        if not self.batch_norm and any('.bn.' in key for key in state):
            raise ValueError('these weights are of a GoogLeNet with batch norm (as torchvision\'s are), and this one '
                             'has batch_norm=False; set batch_norm=True, or train it from scratch with init_cfg=None')
        own = {key: value for key, value in state.items() if key.split('.')[0] not in CLASSIFIERS}
        passed = sorted({key.split('.')[0] for key in state} & set(CLASSIFIERS))
        if passed:
            print_log(f'GoogLeNet passes over {len(state) - len(own)} weights of {", ".join(passed)}, which belong to '
                      'no backbone', logger='current')
        return own

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the maps named by ``out_indices``."""
        if self.transform_input:
            x = x * self.input_scale + self.input_shift
        return super().forward(x)
