"""Triplet loss whose hardness can be set."""

import math
import numbers
from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mmreid.registry import MODELS
from mmreid.utils.distance import check_metric

from .hard_pairs import Hardness, anchor_distance, batch_hard

REDUCTIONS = ('mean', 'sum')
#: Where the softplus of an anchor has less than this share of its largest slope, the anchor trains nothing.
FLAT_SLOPE = 1e-3


@MODELS.register_module()
class GeneralizedBatchHardTripletLoss(nn.Module):
    r"""Generalised batch-hard triplet loss, Eq. (3) and (4) of *Progressive Learning Algorithm for Efficient Person
    Re-Identification* (PLA).

    .. math::
        \ell = \frac1{|A|} \sum_{a \in A} \ln\Big(1 + e^{m + T_a}\Big), \qquad
        T_a = \operatorname{Largest}^k_{b:\, y_b = y_a} d(a, b) - \operatorname{Smallest}^p_{n:\, y_n \ne y_a} d(a, n)

    With :math:`k = p = 1` every anchor looks at its farthest positive and its nearest negative, and the loss is that
    of :class:`TripletLoss` with a soft margin (if :math:`m = 0`). A larger :math:`k` takes a nearer positive, a larger
    :math:`p` a farther negative: neither ever makes the loss larger. Gradient flows to the chosen pairs alone, see
    :func:`batch_hard` for ties. Distances are computed in float32 at least.

    ``k``, ``p``, ``margin`` and ``loss_weight`` are attributes that may be set at any time; the next batch uses them.

    **Anchors and ranks.** :math:`A` are the rows with another image of their identity and with a negative, as in
    :class:`TripletLoss`; rows of -1 are nothing at all. A batch without anchors gives zero, connected to the graph. An
    anchor of an identity with fewer than ``k`` images takes its nearest positive, which is the anchor itself if
    ``include_self``; one with fewer than ``p`` negatives takes the farthest. :meth:`with_statistics` counts such
    anchors. A rank that is beyond *every* identity of the batch is a mistake and raises.

    **Whether an anchor is its own positive.** The paper lets :math:`k` go up to the :math:`K` images that a batch has
    of an identity, so the anchor must be among them, at distance 0; otherwise there are :math:`K - 1`, and the bounds
    of its search reach beyond. Then :math:`k = K` pulls nothing together and only pushes apart, the easiest setting
    there is, and :math:`k < K` is the same with and without. The default follows the paper. Embeddings that are not
    normalised are soon so far apart that with :math:`k = K` the loss and its gradient are 0 in float32: the term is
    :math:`\ln(1 + e^{m - d})` of the distance :math:`d` to a negative. ``share_flat`` of :meth:`with_statistics` shows
    it.

    Args:
        k (int): Rank of the positive, 1 is the farthest; up to the images of an identity in a batch, or up to one less
            without ``include_self``. Defaults to 1.
        p (int): Rank of the negative, 1 is the nearest. Defaults to 1.
        margin (float): :math:`m`; negative values are allowed. Defaults to 0.
        include_self (bool): Whether an anchor is among its own positives, at distance 0 and without gradient. Defaults
            to True.
        metric (str): Metric of :func:`mmreid.utils.pairwise_distance`. Defaults to ``'euclidean'``.
        reduction (str): ``'mean'`` over the anchors, or their ``'sum'``, each once (Eq. (3) sums the same term for
            every :math:`b`). Defaults to ``'mean'``: it does not grow with the batch, so that :math:`\lambda` in [0, 2]
            weighs it against the mean cross-entropy.
        loss_weight (float): Factor of the loss, :math:`\lambda` of Eq. (5). Defaults to 1.

    Shape:
        feats ``(N, C)`` float, labels ``(N,)`` int64, mask ``(N, C)`` float or None -> scalar. With a mask every
        anchor looks at its own channels, see :func:`masked_distance`.

    Raises:
        TypeError: If ``include_self`` is not a bool.
        ValueError: If another argument is out of its range, or ``k`` or ``p`` is beyond what the batch has, see
            :meth:`check_labels`.

    Example:
        >>> heads = dict(tri=dict(
        ...     type='TripletHead', in_key='tri', loss=dict(type='GeneralizedBatchHardTripletLoss', k=4, p=2)))
    """

    def __init__(self,
                 k: int = 1,
                 p: int = 1,
                 margin: float = 0.0,
                 include_self: bool = True,
                 metric: str = 'euclidean',
                 reduction: str = 'mean',
                 loss_weight: float = 1.0) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f'reduction must be one of {REDUCTIONS}, got {reduction!r}')
        if not isinstance(include_self, bool):
            raise TypeError(f'include_self must be True or False, got {include_self!r}')
        self.k, self.p, self.margin, self.loss_weight = k, p, margin, loss_weight
        self.include_self, self.metric, self.reduction = include_self, check_metric(metric), reduction

    @property
    def k(self) -> int:
        """Rank of the positive."""
        return self._k

    @k.setter
    def k(self, value: int) -> None:
        self._k = _rank('k', value)

    @property
    def p(self) -> int:
        """Rank of the negative."""
        return self._p

    @p.setter
    def p(self, value: int) -> None:
        self._p = _rank('p', value)

    @property
    def margin(self) -> float:
        """What is added to the difference of the distances."""
        return self._margin

    @margin.setter
    def margin(self, value: float) -> None:
        self._margin = _finite('margin', value)

    @property
    def loss_weight(self) -> float:
        """Factor of the loss."""
        return self._loss_weight

    @loss_weight.setter
    def loss_weight(self, value: float) -> None:
        if _finite('loss_weight', value) < 0:
            raise ValueError(f'loss_weight must not be negative, got {value}')
        self._loss_weight = float(value)

    def forward(self, feats: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the loss. Labels on a GPU are not checked, for that would wait for it: :class:`TripletHead` does so
        before they go there."""
        if not labels.is_cuda:
            self.check_labels(labels)
        return self._compute(feats, labels, mask)[0]

    def with_statistics(self,
                        feats: torch.Tensor,
                        labels: torch.Tensor,
                        mask: torch.Tensor | None = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss, of labels that are not checked, and what is worth logging about a batch.

        Returns:
            tuple: The loss and a dict: ``num_anchors``; ``num_clamped``, the number of anchors that have fewer than
            ``k`` positives or fewer than ``p`` negatives and use the last there is; and ``share_flat``, the share of
            the anchors with practically no gradient: the slope of their softplus is below :data:`FLAT_SLOPE`.
        """
        loss, found, gap = self._compute(feats, labels, mask)
        valid, number = found.valid, found.valid.sum()
        few = (found.num_positives + self.include_self < self.k) | (found.num_negatives < self.p)
        flat = gap.detach() < math.log(FLAT_SLOPE / (1 - FLAT_SLOPE))  # the slope is the sigmoid of the gap
        return loss, dict(num_anchors=number.float(), num_clamped=(few & valid).sum().float(),
                          share_flat=(flat & valid).sum() / number.clamp(min=1))

    def _compute(self, feats: torch.Tensor, labels: torch.Tensor,
                 mask: torch.Tensor | None) -> tuple[torch.Tensor, Hardness, torch.Tensor]:
        """Loss, pairs, and what the softplus of every row is taken of."""
        found = batch_hard(anchor_distance(feats, mask, self.metric), labels, self.k, self.p, self.include_self)
        gap = found.farthest - found.nearest + self.margin
        total = F.softplus(gap).masked_fill(~found.valid, 0).sum()
        if self.reduction == 'mean':
            total = total / found.valid.sum().clamp(min=1)
        return self.loss_weight * total, found, gap

    def check_labels(self, labels: torch.Tensor) -> None:
        """Make sure that some identity of a batch has ``k`` positives and some has ``p`` negatives.

        Rank 1 asks for nothing: who has no pair at all is no anchor.

        Raises:
            ValueError: If none has.
        """
        if self.k == self.p == 1:
            return
        counts = Counter(labels.tolist())
        counts.pop(-1, None)
        if not counts:
            return
        images, negatives = max(counts.values()), counts.total() - min(counts.values())
        batch = (f'the batch has P={len(counts)} identities with up to K={images} images of one (k={self.k}, '
                 f'p={self.p})')
        most = max(1, images if self.include_self else images - 1)
        if self.k > most:
            raise ValueError(
                f'k={self.k} is beyond the positives of every anchor: {batch}, so k must be at most {most} with '
                f'include_self={self.include_self}. Lower k (the upper bound of a search for it), or take more images '
                'of each identity (num_instances of PKSampler).')
        if self.p > max(1, negatives):
            raise ValueError(
                f'p={self.p} is beyond the negatives of every anchor: {batch}, so p must be at most '
                f'{max(1, negatives)}. Lower p (the upper bound of a search for it), or take more identities (num_pids '
                'of PKSampler).')

    def extra_repr(self) -> str:
        """Hyper-parameters, shown in the printed model."""
        return (f'k={self.k}, p={self.p}, margin={self.margin:g}, loss_weight={self.loss_weight:g}, '
                f'include_self={self.include_self}, metric={self.metric!r}, reduction={self.reduction!r}')


def _rank(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f'{name} must be an integer of at least 1, got {value!r}')
    return int(value)


def _finite(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f'{name} must be a finite number, got {value!r}')
    return float(value)
