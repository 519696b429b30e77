"""Dropout for layers whose outputs are compared with each other."""

import torch
import torch.nn.functional as F
from torch import nn

#: ``'consistent'``: what is compared shares a mask; ``'random'``: every image has its own, as in ``nn.Dropout``.
DROPOUT_MODES = ('consistent', 'random')
#: Masks are drawn in blocks of so many rows, each from a seed of its own.
BLOCK_ROWS = 256


class PairMasks:
    """Dropout masks of many rows that are never held at once.

    Any slice can be asked for at any time and always has the same values, because every block of rows is drawn anew
    from its own seed. So neither the size of the chunks that work through the rows nor the recomputation of activations
    in the backward pass changes a mask.

    Args:
        num_rows (int): Number of masks.
        like (torch.Tensor): Gives length (the last dimension), type and device of a mask.
        p (float): Probability of zero; the rest is ``1 / (1 - p)``.
        seed (int): Of the first block; the next ones follow.
    """

    def __init__(self, num_rows: int, like: torch.Tensor, p: float, seed: int) -> None:
        self.num_rows, self.p, self.seed = num_rows, p, seed
        self._channels, self._options = like.shape[-1], dict(dtype=like.dtype, device=like.device)
        self._generator = torch.Generator(like.device)

    def __len__(self) -> int:
        return self.num_rows

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Masks ``(stop - start, C)`` of the rows ``start`` to ``stop``."""
        first = start // BLOCK_ROWS
        blocks = [self._block(number) for number in range(first, -(-stop // BLOCK_ROWS))]
        if not blocks:
            return torch.empty(0, self._channels, **self._options)
        drawn = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
        return drawn[start - first * BLOCK_ROWS:stop - first * BLOCK_ROWS]

    def _block(self, number: int) -> torch.Tensor:
        # Seeding and drawing happen without waiting for the device.
        self._generator.manual_seed(self.seed + number)
        block = torch.empty(BLOCK_ROWS, self._channels, **self._options)
        return block.bernoulli_(1 - self.p, generator=self._generator).div_(1 - self.p)


class PairwiseConsistentDropout(nn.Module):
    r"""Dropout under which both members of a pair lose the same channels, section 3.1 of `Deep Transfer Learning for
    Person Re-identification <https://arxiv.org/abs/1611.05244>`_.

    .. math:: \tilde y_i = r_{ij} * y_i, \quad \tilde y_j = r_{ij} * y_j

    so that a difference of the two comes from the images and never from the masks. Every pair draws its own mask, also
    a pair that occurs twice. What is kept is scaled by ``1 / (1 - p)``, as in ``nn.Dropout``; in evaluation nothing is
    changed.

    ``forward`` takes the two members of each pair. Heads that go through many pairs use :meth:`before_pairing` and
    :meth:`masks`, which hold no mask longer than needed.

    Args:
        p (float): Probability that a channel is dropped (the paper's p is that of keeping one). Defaults to 0.5.
        mode (str): ``'consistent'``, or ``'random'``, standard dropout for comparison: independent masks.
            Defaults to ``'consistent'``.

    Shape:
        first ``(P, C)``, second ``(P, C)`` -> the same two shapes.

    Raises:
        ValueError: If ``p`` is not in [0, 1), the mode is unknown, or the two shapes differ.

    Note:
        Masks come from the generator of their device, seeded by a number of torch's global CPU generator: a run is
        reproducible, also after a resume, without waiting for the device.
    """

    def __init__(self, p: float = 0.5, mode: str = 'consistent') -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f'dropout must be at least 0 and below 1, got {p}')
        if mode not in DROPOUT_MODES:
            raise ValueError(f'the mode of dropout must be one of {DROPOUT_MODES}, got {mode!r}')
        self.p, self.mode = p, mode

    @property
    def active(self) -> bool:
        """Whether anything is dropped at present."""
        return self.training and self.p > 0

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Drop channels of both members of each pair."""
        if first.shape != second.shape or first.dim() != 2:
            raise ValueError('the members of pairs must have one shape (P, C), got '
                             f'{tuple(first.shape)} and {tuple(second.shape)}')
        if self.mode == 'random':
            return self.before_pairing(first), self.before_pairing(second)
        masks = self.masks(len(first), first)
        if masks is None:
            return first, second
        mask = masks.rows(0, len(first))
        return first * mask, second * mask

    def before_pairing(self, feats: torch.Tensor) -> torch.Tensor:
        """Embeddings ``(N, C)`` of images as pairs are to be made of them: each with a mask in mode ``'random'``."""
        return F.dropout(feats, self.p, self.training) if self.mode == 'random' else feats

    def masks(self, num_rows: int, like: torch.Tensor) -> PairMasks | None:
        """Masks of pairs (or of anchors, which share theirs with everything that they are compared with).

        None where nothing is dropped: in evaluation, without dropout and in mode ``'random'``.
        """
        if not self.active or self.mode == 'random':
            return None
        return PairMasks(num_rows, like, self.p, random_seed())

    def extra_repr(self) -> str:
        """Probability and mode, shown in the printed model."""
        return f'p={self.p}, mode={self.mode!r}'


def random_seed() -> int:
    """A seed from torch's global CPU generator, whose state is saved with a training."""
    return int(torch.randint(2**62, ()))
