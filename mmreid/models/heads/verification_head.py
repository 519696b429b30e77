"""Verification: do two images show the same person?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmreid.models.layers import PairwiseConsistentDropout
from mmreid.models.losses import ContrastiveLoss
from mmreid.models.utils import at_least_float32
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

from .base import ReIDHead
from .verification_pairs import PairCounts, VerificationPairs, count_pairs, image_numbers, verification_pairs

#: Losses that have a short name: ``'cross_entropy'`` of the verification subnet's softmax, or ``'contrastive'`` on the
#: distance of the embeddings.
VERIFICATION_LOSSES = ('cross_entropy', 'contrastive')


@MODELS.register_module()
class VerificationHead(ReIDHead):
    r"""Pairwise verification subnet and loss, sections 3.1 and 5.2 of `Deep Transfer Learning for Person
    Re-identification <https://arxiv.org/abs/1611.05244>`_.

    .. math:: z_{ij} = W_2\, \sigma\big(W_1 \max(\tilde y_i - \tilde y_j, 0) + b_1\big) + b_2, \qquad
              \ell = \frac1P \sum_{(i,j)} -\log \mathrm{softmax}(z_{ij})_{[y_i = y_j]}

    over all positive and negative pairs of the batch, balanced (:func:`verification_pairs`), under pairwise-consistent
    dropout: each pair has its own mask, also each duplicate of a pair. Batches must hold several different images of
    an identity (``PKSampler``); rows labelled -1 are in no pair, and a batch of only such rows gives zero.

    Logged: ``accuracy_pos`` and ``accuracy_neg``, the percentage of positive and of negative pairs that are told
    right, under dropout as trained; ``num_pairs``, of both kinds together.

    Args:
        in_channels (int): Length of the embedding.
        in_key (str): Which embedding to read. Defaults to ``'feat'``.
        hidden_channels (int): Width of the fully connected layer in front of the softmax. Defaults to 1024.
        hidden_relu (bool): Whether a ReLU follows it. Without one the two linear layers are one linear layer.
            Defaults to True.
        dropout (float): Probability of :class:`PairwiseConsistentDropout`. Defaults to 0.5.
        dropout_mode (str): ``'consistent'`` or ``'random'``. Defaults to ``'consistent'``.
        loss (str or dict): ``'cross_entropy'``, or ``'contrastive'``: :class:`ContrastiveLoss` on the Euclidean
            distance of the embeddings, scaled to unit length before dropout so that the margin does not depend on the
            network. It has no layers and nothing to learn; pairs count as same below half the margin. A dict is the
            config of a loss: :class:`ContrastiveLoss`, or any that takes logits ``(P, 2)`` and targets ``(P,)`` (1:
            same) and gives their mean over the pairs, of which there may be several chunks. Defaults to
            ``'cross_entropy'``.
        loss_weight (float): Factor of the loss, on top of one in its config. Defaults to 1.
        margin (float): Of ``loss='contrastive'``; a dict has its own. Defaults to 1.
        ordered (bool): Whether (i, j) and (j, i) are two pairs. Defaults to True.
        require_pairs (bool): Whether a batch with labels but without a positive or without a negative pair is an error.
            Otherwise it contributes nothing, and the log has ``no_pairs``, 1 for such a batch (the mean of a window is
            their share): for pseudo labels, where most classes may have one image. Defaults to True.
        chunk_size (int): Pairs whose activations are held at a time; where there are more, they are computed again in
            the backward pass. Memory and time depend on it; results do not, beyond rounding: what the chunks
            contribute to a gradient is added up in the type of the parameter, also under autocast. Defaults to 8192,
            which holds the pairs of 32 x 2 images at once.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: If an argument does not fit, or a batch has labels but no positive or no negative pair (see
            ``require_pairs``).

    Example:
        >>> heads = dict(
        ...     id=dict(type='ClassificationHead', in_channels=1024, num_classes=None, dropout=0.5),
        ...     ver=dict(type='VerificationHead', in_channels=1024, dropout=0.5, loss_weight=3.0))
    """

    def __init__(self,
                 in_channels: int,
                 in_key: str = 'feat',
                 hidden_channels: int = 1024,
                 hidden_relu: bool = True,
                 dropout: float = 0.5,
                 dropout_mode: str = 'consistent',
                 loss: str | dict = 'cross_entropy',
                 loss_weight: float = 1.0,
                 margin: float = 1.0,
                 ordered: bool = True,
                 require_pairs: bool = True,
                 chunk_size: int = 8192,
                 init_cfg: dict | None = None) -> None:
        super().__init__(in_key, init_cfg)
        if not isinstance(loss, dict):
            loss = _loss_config(loss, margin)
        sizes = dict(in_channels=in_channels, hidden_channels=hidden_channels, chunk_size=chunk_size)
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f'{name} of VerificationHead must be positive, got {value}')
        self.in_channels, self.ordered, self.chunk_size = in_channels, ordered, chunk_size
        self.require_pairs = require_pairs
        self.dropout = PairwiseConsistentDropout(dropout, dropout_mode)
        self.loss_module, self.loss_weight = MODELS.build(loss), loss_weight
        self.contrastive = isinstance(self.loss_module, ContrastiveLoss)
        if not self.contrastive:
            self.layers = _layers(in_channels, hidden_channels, hidden_relu)

    def batch_facts(self, labels: torch.Tensor, data_samples: Sequence[ReIDDataSample]) -> dict[str, Any]:
        """Which rows show the same image (``sample_idx``) and so are no pair, and how many pairs there are.

        Raises:
            ValueError: If there are labels but no positive or no negative pair, unless ``require_pairs=False``.
        """
        # Labels come on the CPU: counted there, the pairs are made on the device without waiting for it.
        labels, images = labels.cpu(), image_numbers(data_samples)
        counts = count_pairs(labels, images, self.ordered)
        if self.require_pairs:
            _require_both_kinds(counts, labels, images)
        elif min(counts) == 0:
            counts = PairCounts(0, 0)  # one kind alone cannot be balanced: no pair at all
        return dict(images=images, counts=counts)

    def forward(self, feat: torch.Tensor) -> torch.Tensor:
        """Embeddings ``(N, C)`` as they are compared: in float32 at least, for the contrastive loss of unit length.

        Raises:
            ValueError: If they are not of length ``in_channels``.
        """
        if feat.dim() != 2 or feat.shape[1] != self.in_channels:
            raise ValueError(f'{type(self).__name__} compares embeddings {self.in_key!r} of shape (N, '
                             f'{self.in_channels}), got {tuple(feat.shape)}; set in_channels to their length')
        feat = at_least_float32(feat)
        return F.normalize(feat, dim=1) if self.contrastive else feat

    def compare(self, difference: torch.Tensor) -> torch.Tensor:
        """Logits ``(P, 2)`` (different, same), or contrastive distances ``(P,)``, of differences ``(P, C)``."""
        return _norm(difference) if self.contrastive else self.layers(difference)

    def log_odds(self, outputs: torch.Tensor) -> torch.Tensor:
        """How much more likely "same" is than "different", ``(P,)``, from the outputs of :meth:`compare`."""
        return self.loss_module.margin / 2 - outputs if self.contrastive else outputs[:, 1] - outputs[:, 0]

    def loss_by_feat(self,
                     outputs: torch.Tensor,
                     labels: torch.Tensor,
                     images: torch.Tensor | None = None,
                     counts: PairCounts | None = None) -> dict[str, torch.Tensor]:
        """Loss, accuracies in percent and number of pairs.

        Args:
            outputs (torch.Tensor): What :meth:`forward` gives, ``(N, C)``.
            labels (torch.Tensor): Classes ``(N,)`` on the same device.
            images (torch.Tensor, optional): See :func:`verification_pairs`; on any device.
            counts (PairCounts, optional): See :func:`verification_pairs`.
        """
        images = None if images is None else images.to(labels.device, non_blocking=True)
        pairs = verification_pairs(labels, images, self.ordered, counts)
        total, right = self._over_pairs(self.dropout.before_pairing(outputs), pairs)
        each = max(1, len(pairs.same) // 2)  # as many of either kind
        found = dict(loss_ver=self.loss_weight * total / (2 * each), accuracy_pos=100 * right[0] / each,
                     accuracy_neg=100 * right[1] / each, num_pairs=right.new_full((), len(pairs.same)))
        if not self.require_pairs:
            found['no_pairs'] = right.new_full((), float(not len(pairs.same)))
        return found

    def _over_pairs(self, feats: torch.Tensor, pairs: VerificationPairs) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of the losses of all pairs, and how many positive and negative ones are told right, ``(2,)``."""
        masks, number = self.dropout.masks(len(pairs.same), feats), len(pairs.same)
        again = number > self.chunk_size and torch.is_grad_enabled()

        def part(feats: torch.Tensor, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
            first, second, same = (rows[start:stop] for rows in pairs)
            difference = feats[first] - feats[second]
            if masks is not None:
                difference = difference * masks.rows(start, stop)
            with _casts_of_its_own():
                outputs = self.compare(difference)
            told_right = (self.log_odds(outputs.detach()) > 0) == same
            right = torch.stack([(told_right & same).sum(), (told_right & ~same).sum()]).float()
            # Of no pairs some losses give no number.
            loss = self.loss_module(outputs, same.long()) * len(same) if len(same) else at_least_float32(outputs).sum()
            return loss, right

        total = right = 0
        for start in range(0, max(1, number), self.chunk_size):
            place = start, min(start + self.chunk_size, number)
            # Nothing random but the masks happens inside, and these do not depend on the state of a generator.
            loss, told_right = checkpoint(part, feats, *place, use_reentrant=False,
                                          preserve_rng_state=False) if again else part(feats, *place)
            total, right = total + loss, right + told_right
        return total, right

    @torch.no_grad()
    def score(self, query: torch.Tensor, gallery: torch.Tensor, symmetric: bool = False) -> torch.Tensor:
        """Cross-image representation: how likely each query and each gallery image show the same person.

        The subnet runs once for every pair, without dropout, ``chunk_size`` pairs at a time.

        Args:
            query (torch.Tensor): Embeddings ``(Q, C)``, the first members of the pairs.
            gallery (torch.Tensor): Embeddings ``(G, C)``.
            symmetric (bool): Average over (query, gallery) and (gallery, query), at twice the cost. Defaults to False.

        Returns:
            torch.Tensor: Log-odds ``(Q, G)`` of "same", larger for more alike.
        """
        query, gallery = self(query), self(gallery)
        scores = query.new_empty(len(query), len(gallery))
        columns = max(1, min(len(gallery), self.chunk_size))
        rows = max(1, self.chunk_size // columns)
        for top in range(0, len(query), rows):
            for left in range(0, len(gallery), columns):
                difference = query[top:top + rows, None] - gallery[None, left:left + columns]
                block = scores[top:top + rows, left:left + columns]
                flat = difference.flatten(0, 1)
                odds = self.log_odds(self.compare(flat))
                if symmetric:
                    odds = (odds + self.log_odds(self.compare(-flat))) / 2
                block.copy_(odds.view_as(block))
        return scores


def _loss_config(name: str, margin: float) -> dict:
    if name not in VERIFICATION_LOSSES:
        raise ValueError(f'loss of VerificationHead must be one of {VERIFICATION_LOSSES} or the config of a loss, got '
                         f'{name!r}')
    return dict(type='ContrastiveLoss', margin=margin) if name == 'contrastive' else dict(type='CrossEntropyLoss')


@contextmanager
def _casts_of_its_own() -> Iterator[None]:
    """Under autocast, let the block cast parameters anew instead of sharing one cast with other chunks.

    Through a shared one, their gradients would be added up in half precision, where many small ones get lost.
    """
    shared = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(shared)


def _layers(in_channels: int, hidden_channels: int, hidden_relu: bool) -> nn.Sequential:
    hidden, last = nn.Linear(in_channels, hidden_channels), nn.Linear(hidden_channels, 2)
    nn.init.kaiming_normal_(hidden.weight, mode='fan_in', nonlinearity='relu')
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(hidden.bias)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.ReLU(), hidden, *([nn.ReLU(inplace=True)] if hidden_relu else []), last)


def _norm(x: torch.Tensor) -> torch.Tensor:
    """Length of each row, with gradient 0 instead of infinity where it is 0."""
    squared = x.square().sum(1)
    zero = squared == 0
    return squared.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def _require_both_kinds(counts: PairCounts, labels: torch.Tensor, images: torch.Tensor) -> None:
    """Refuse a batch with labels but without a positive or without a negative pair."""
    labelled = labels != -1
    if min(counts) > 0 or not labelled.any():
        return
    people, rows = len(labels[labelled].unique()), int(labelled.sum())
    if counts.positives == 0:
        shown = len(torch.stack([labels, images])[:, labelled].unique(dim=1).T)
        raise ValueError(f'VerificationHead needs a positive pair, two different images of one identity; the {rows} '
                         f'labelled rows of the batch are {shown} different images of {people} identities. Use '
                         'sampler=dict(type="PKSampler", num_pids=P, num_instances=K) with num_instances >= 2 and '
                         'batch_size=P * K (identities that have one image only form no pair; where most have, as '
                         'pseudo labels may, require_pairs=False passes over such a batch).')
    raise ValueError(f'VerificationHead needs a negative pair, images of two identities; the {rows} labelled rows of '
                     'the batch all show one. Use sampler=dict(type="PKSampler", num_pids=P, num_instances=K) with '
                     'num_pids >= 2 and batch_size=P * K.')
