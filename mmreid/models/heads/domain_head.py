"""Which domain is an image from? A classifier that the network in front of it is trained to defeat."""

import logging
from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from torch import nn

from mmreid.models.layers import GradientReversal
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

from .base import ReIDHead
from .classification_head import _hidden_layer


@MODELS.register_module()
class DomainHead(ReIDHead):
    r"""Domain classifier behind gradient reversal: the adversarial comparison of `Deep Transfer Learning for Person
    Re-identification <https://arxiv.org/abs/1611.05244>`_ (section 5.6), after `Unsupervised Domain Adaptation by
    Backpropagation <https://arxiv.org/abs/1409.7495>`_.

    .. math:: \ell = -\frac1N \sum_i \log \mathrm{softmax}\big(G_d(R_\lambda(f_i))\big)_{d_i}

    over all images of the batch, labelled or not: only their ``domain`` is read, never their ``gt_label``. The
    classifier lowers this loss, the network in front raises it (:class:`GradientReversal`), so that in the end features
    do not tell where an image comes from. A batch should hold every domain in its share (``DomainBalancedSampler``);
    one with a single domain is trained on as it is, and the first of them is warned of.

    Logged: ``accuracy``, the percentage of images whose domain is told right (chance is 100 divided by the number of
    domains), and ``coefficient``, the present :math:`\lambda` (see :class:`~mmreid.engine.hooks.GradientReversalHook`).

    Args:
        in_channels (int): Length of the embedding.
        num_domains (int): Number of domains, which are numbered from 0. Defaults to 2.
        in_key (str): Which embedding to read. Defaults to ``'feat'``.
        hidden_channels (Sequence[int]): Widths of the hidden layers (linear, ReLU, dropout). Defaults to
            ``(1024, 1024)``.
        dropout (float): Dropout after each hidden layer. Defaults to 0.
        coefficient (float): :math:`\lambda`, at least 0. Defaults to 1.
        loss (dict): Config of the loss. Defaults to ``dict(type='CrossEntropyLoss')``.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: If there are fewer than two domains, an argument does not fit, or a sample has no domain or one that
            is not below ``num_domains``.

    Example:
        >>> heads = dict(
        ...     id=dict(type='ClassificationHead', in_channels=512, num_classes=None),
        ...     domain=dict(type='DomainHead', in_channels=512))
    """

    def __init__(self,
                 in_channels: int,
                 num_domains: int = 2,
                 in_key: str = 'feat',
                 hidden_channels: Sequence[int] = (1024, 1024),
                 dropout: float = 0.0,
                 coefficient: float = 1.0,
                 loss: dict = dict(type='CrossEntropyLoss'),  # noqa: B006 (never changed)
                 init_cfg: dict | None = None) -> None:
        super().__init__(in_key, init_cfg)
        if num_domains < 2:
            raise ValueError(f'num_domains of DomainHead must be at least 2, there is nothing to tell apart in one; '
                             f'got {num_domains}')
        if not 0 <= dropout < 1:
            raise ValueError(f'dropout must be at least 0 and below 1, got {dropout}')
        self.num_domains = num_domains
        self.reversal = GradientReversal(coefficient)
        widths = [in_channels, *hidden_channels]
        # Not a "classifier": that name is for what tells identities apart, and is renewed with them.
        self.layers = nn.Sequential()
        for c_in, c_out in zip(widths[:-1], widths[1:], strict=True):
            self.layers.extend(_hidden_layer(c_in, c_out, None, dropout))
        last = nn.Linear(widths[-1], num_domains)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        self.layers.append(last)
        self.loss_module = MODELS.build(loss)
        self._has_warned = False

    def forward(self, feat: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, num_domains)`` of embeddings ``(N, C)``, which get the reversed gradient."""
        return self.layers(self.reversal(feat))

    def targets_of(self, data_samples: Sequence[ReIDDataSample]) -> torch.Tensor:
        """Domains ``(N,)``; labels are not looked at."""
        return stack_domains(data_samples)

    def loss_by_feat(self, outputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Cross-entropy, accuracy in percent and coefficient from logits and domains ``(N,)``."""
        accuracy = 100.0 * (outputs.detach().argmax(1) == labels).float().mean()
        return dict(loss_domain=self.loss_module(outputs, labels), accuracy=accuracy,
                    coefficient=accuracy.new_full((), self.reversal.coefficient))

    def check_labels(self, labels: torch.Tensor) -> None:
        """Refuse domains outside of 0 ... num_domains - 1; warn of the first batch of a single one."""
        present = labels.unique().tolist()
        if present[0] < 0 or present[-1] >= self.num_domains:
            raise ValueError(f'domains {present} do not fit a DomainHead of num_domains={self.num_domains}, which are '
                             f'numbered 0 ... {self.num_domains - 1}. Set num_domains to their number; the parts of a '
                             'merged dataset are numbered in their order unless each has a domain_id of its own.')
        if len(present) == 1 and not self._has_warned:
            self._has_warned = True
            print_log(f'DomainHead: a batch of {len(labels)} images has domain {present[0]} only, from which there is '
                      'nothing to tell apart. Use sampler=dict(type="DomainBalancedSampler"), and batches of at least '
                      'as many images as domains.', logger='current', level=logging.WARNING)


def stack_domains(data_samples: Sequence[ReIDDataSample]) -> torch.Tensor:
    """Domains ``(N,)`` of a batch, int64, on the CPU.

    Raises:
        ValueError: If there are no samples or one has no ``domain``.
    """
    if not data_samples:
        raise ValueError('DomainHead needs data_samples with a domain, got none')
    domains = [sample.get('domain') for sample in data_samples]
    if None in domains:
        where = data_samples[domains.index(None)].get('img_path', 'an unnamed image')
        raise ValueError(f'no domain on the sample of {where}; use a dataset of several domains (SourceTargetDataset, '
                         'MergedReIDDataset), and leave "domain" among the meta_keys of PackReIDInputs')
    return torch.tensor([int(domain) for domain in domains], dtype=torch.int64)
