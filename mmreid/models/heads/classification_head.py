"""Classification of identities."""

from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from torch import nn

from mmreid.models.layers import require_batch
from mmreid.registry import MODELS

from .base import ReIDHead


@MODELS.register_module()
class ClassificationHead(ReIDHead):
    """Classifier of identities with any number of fully connected layers.

    Every hidden layer is linear -> norm -> ReLU -> dropout; a last linear layer gives the logits. The three-layer
    classifier of PTL is ``hidden_channels=(1024, 1024)``; the classifier after a :class:`BNNeck` is
    ``hidden_channels=(), bias=False``.

    Args:
        in_channels (int): Length of the embedding.
        num_classes (int, optional): Number of identities. None in a config is filled in from the training dataset
            before the model is built; it must be a number here.
        in_key (str): Which embedding to read. Defaults to ``'feat'``.
        hidden_channels (Sequence[int]): Widths of the hidden layers. Defaults to ().
        norm_cfg (dict, optional): Norm of the hidden layers. Defaults to ``dict(type='BN1d')``.
        dropout (float): Dropout after each hidden layer or, where there is none, in front of the classifier. Defaults
            to 0.
        bias (bool): Whether the last layer has a bias. Defaults to True.
        init_std (float): Standard deviation of the weights that the last layer starts with. Defaults to 0.01.
        loss (dict): Config of the loss. Defaults to ``dict(type='CrossEntropyLoss')``.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: If ``num_classes`` is missing, a label is not below it, or a single image meets batch norm.
    """

    def __init__(self,
                 in_channels: int,
                 num_classes: int | None = None,
                 in_key: str = 'feat',
                 hidden_channels: Sequence[int] = (),
                 norm_cfg: dict | None = dict(type='BN1d'),  # noqa: B006 (never changed)
                 dropout: float = 0.0,
                 bias: bool = True,
                 init_std: float = 0.01,
                 loss: dict = dict(type='CrossEntropyLoss'),  # noqa: B006
                 init_cfg: dict | None = None) -> None:
        super().__init__(in_key, init_cfg)
        if num_classes is None or num_classes < 1:
            raise ValueError(f'num_classes of ClassificationHead must be a positive number, got {num_classes}. Where a '
                             'config says None, the runner fills it in from the training dataset before it builds the '
                             'model; without a runner, give the number.')
        if not 0 <= dropout < 1:
            raise ValueError(f'dropout must be at least 0 and below 1, got {dropout}')
        self.init_std = init_std
        widths = [in_channels, *hidden_channels]
        self.hidden = nn.Sequential()
        for c_in, c_out in zip(widths[:-1], widths[1:], strict=True):
            self.hidden.extend(_hidden_layer(c_in, c_out, norm_cfg, dropout))
        if not hidden_channels and dropout > 0:
            self.hidden.append(nn.Dropout(dropout))
        self.classifier = nn.Linear(widths[-1], num_classes, bias=bias)
        self.reset_classifier(num_classes)
        self.loss_module = MODELS.build(loss)

    def reset_classifier(self, num_classes: int) -> None:
        """Start the last layer anew, for that many identities; an optimizer that exists does not know its parameters.

        Raises:
            ValueError: If the number is not positive.
        """
        if num_classes < 1:
            raise ValueError(f'num_classes must be positive, got {num_classes}')
        old = self.classifier
        self.num_classes = num_classes
        if old.out_features != num_classes:
            self.classifier = nn.Linear(old.in_features, num_classes, old.bias is not None, old.weight.device,
                                        old.weight.dtype)
            self.classifier.train(old.training)
        nn.init.normal_(self.classifier.weight, std=self.init_std)
        if self.classifier.bias is not None:
            nn.init.zeros_(self.classifier.bias)

    def forward(self, feat: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, num_classes)`` of embeddings ``(N, C)``."""
        require_batch(self.hidden, feat, 'norm_cfg=None of the ClassificationHead')
        return self.classifier(self.hidden(feat))

    def loss_by_feat(self, outputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss and top-1 accuracy, in percent of the labelled rows."""
        correct = (outputs.detach().argmax(1) == labels).sum()
        accuracy = 100.0 * correct / (labels != -1).sum().clamp(min=1)
        return dict(loss_ce=self.loss_module(outputs, labels), accuracy=accuracy)

    def check_labels(self, labels: torch.Tensor) -> None:
        """Refuse labels outside of -1 ... num_classes - 1."""
        low, high = int(labels.min()), int(labels.max())
        if low < -1 or high >= self.num_classes:
            raise ValueError(f'labels from {low} to {high} do not fit a classifier of {self.num_classes} classes (-1: '
                             'no label). num_classes must be the number of identities of the training dataset; leave '
                             'it None in the config to have it filled in.')


def _hidden_layer(in_channels: int, out_channels: int, norm_cfg: dict | None, dropout: float) -> list[nn.Module]:
    linear = nn.Linear(in_channels, out_channels, bias=norm_cfg is None)
    nn.init.kaiming_normal_(linear.weight, mode='fan_in', nonlinearity='relu')
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
    layers = [linear]
    if norm_cfg is not None:
        layers.append(build_norm_layer(norm_cfg, out_channels)[1])
    layers.append(nn.ReLU(inplace=True))
    if dropout > 0:
        layers.append(nn.Dropout(dropout))
    return layers
