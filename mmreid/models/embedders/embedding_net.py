"""One network: backbone, neck and heads."""

import inspect
from collections.abc import Collection, Sequence

import torch
from mmengine.model import BaseModel, ModuleDict
from torch import nn

from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample


@MODELS.register_module()
class EmbeddingNet(BaseModel):
    """A network that maps an image to named embeddings, one of which is the feature used for retrieval.

    Args:
        backbone (dict): Images -> tuple of maps.
        neck (dict): Tuple of maps -> dict of embeddings ``(N, C)``. If its ``forward`` has an argument ``keys``, it is
            asked for the feature alone where nothing else is needed (:meth:`extract_feature`).
        heads (dict, optional): Name -> config of a head. Losses and logged values are named ``<name>.<value>``.
            None is enough to extract features. Defaults to None.
        data_preprocessor (dict, optional): Defaults to ``dict(type='ReIDDataPreprocessor')``.
        feature_key (str): Which embedding is the feature. Defaults to ``'feat'``.
        channels_last (bool): Keep weights and inputs in channels-last memory format, the faster one for convolutions
            on GPUs and on recent CPUs. Defaults to True.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Example:
        >>> model = MODELS.build(dict(
        ...     type='EmbeddingNet',
        ...     backbone=dict(type='ResNetTaps', depth=18),
        ...     neck=dict(type='ReductionNeck', in_channels=512, feat_channels=256),
        ...     heads=dict(id=dict(type='ClassificationHead', in_channels=256, num_classes=751))))
        >>> model(torch.rand(2, 3, 64, 32), mode='tensor')['feat'].shape
        torch.Size([2, 256])
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict,
                 heads: dict[str, dict] | None = None,
                 data_preprocessor: dict | nn.Module | None = None,
                 feature_key: str = 'feat',
                 channels_last: bool = True,
                 init_cfg: dict | None = None) -> None:
        if not isinstance(data_preprocessor, nn.Module):
            data_preprocessor = MODELS.build(data_preprocessor or dict(type='ReIDDataPreprocessor'))
        super().__init__(data_preprocessor, init_cfg)
        if neck is None:
            raise ValueError('EmbeddingNet needs a neck to make named embeddings of the maps; the plainest is '
                             'dict(type="ReductionNeck", in_channels=C, feat_channels=None), global pooling alone')
        bad = [name for name in heads or {} if 'loss' in name]
        if bad:
            raise ValueError(f'the names of heads must not contain "loss", because every value named so is added to '
                             f'the total: {bad}')
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self._neck_takes_keys = 'keys' in inspect.signature(self.neck.forward).parameters
        self.heads = ModuleDict({name: MODELS.build(head) for name, head in (heads or {}).items()})
        #: Names of heads whose losses are left out for the time being.
        self.heads_off: frozenset[str] = frozenset()
        self.feature_key = feature_key
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def forward(self,
                inputs: torch.Tensor,
                data_samples: Sequence[ReIDDataSample] | None = None,
                mode: str = 'tensor') -> dict[str, torch.Tensor] | list[ReIDDataSample]:
        """Run the network on a normalised batch ``(N, 3, H, W)``.

        Args:
            inputs (torch.Tensor): What the data preprocessor gives.
            data_samples (Sequence[ReIDDataSample], optional): Needed for losses; predictions are put into them.
            mode (str): ``'tensor'`` returns the embeddings, ``'loss'`` the losses and logged values, ``'predict'``
                the samples with their ``feature`` (float32, shape ``(C,)``).
        """
        if mode == 'tensor':
            return self.extract_feats(inputs)
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")

    def extract_feats(self, inputs: torch.Tensor, keys: Collection[str] | None = None) -> dict[str, torch.Tensor]:
        """Embeddings of a batch, by name: all, or at least those that ``keys`` names."""
        maps = self.backbone(inputs.contiguous(memory_format=self.memory_format))
        return self.neck(maps) if keys is None or not self._neck_takes_keys else self.neck(maps, keys=keys)

    def extract_feature(self, inputs: torch.Tensor) -> torch.Tensor:
        """The embedding used for retrieval ``(N, C)`` of a batch, without those that only losses need.

        Raises:
            KeyError: If the neck gives no embedding named ``feature_key``.
        """
        return self.feature(self.extract_feats(inputs, keys=(self.feature_key, )))

    def loss(self, inputs: torch.Tensor, data_samples: Sequence[ReIDDataSample]) -> dict[str, torch.Tensor]:
        """Losses and logged values of all heads."""
        return self.loss_by_feats(self.extract_feats(inputs), data_samples)

    def loss_by_feats(self, feats: dict[str, torch.Tensor],
                      data_samples: Sequence[ReIDDataSample]) -> dict[str, torch.Tensor]:
        """Losses and logged values of all heads from the embeddings of :meth:`extract_feats`."""
        if not self.heads:
            raise ValueError(f'this {type(self).__name__} has no heads and so nothing to train; give it '
                             'heads=dict(...)')
        return {
            f'{name}.{key}': value
            for name, head in self.heads.items() if name not in self.heads_off
            for key, value in head.loss(feats, data_samples).items()
        }

    def predict(self, inputs: torch.Tensor,
                data_samples: Sequence[ReIDDataSample] | None = None) -> list[ReIDDataSample]:
        """Put the feature of every image into its sample."""
        feats = self.extract_feature(inputs).float()
        samples = data_samples or [ReIDDataSample() for _ in inputs]
        return [sample.set_feature(feat) for sample, feat in zip(samples, feats, strict=True)]

    def feature(self, feats: dict[str, torch.Tensor]) -> torch.Tensor:
        """The embedding used for retrieval, ``(N, C)``.

        Raises:
            KeyError: If the neck gives no embedding named ``feature_key``.
        """
        if self.feature_key not in feats:
            raise KeyError(f'feature_key={self.feature_key!r} is not among the embeddings {sorted(feats)} of the neck')
        return feats[self.feature_key]
