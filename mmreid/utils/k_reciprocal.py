r"""k-reciprocal encoding, kept sparse: re-ranking and the Jaccard distance of clustering use the same.

Zhong, Zheng, Cao and Li: `Re-ranking Person Re-identification with k-reciprocal Encoding
<https://arxiv.org/abs/1701.08398>`_, CVPR 2017. Every number is that of the authors' Python code; nothing of size
N x N is made. The same tensor code runs on the CPU and on CUDA devices.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .distance import MIN_NORM
from .features import Array, as_matrix, as_tensor, product, same_kind, square_norms
from .nearest import Neighbours, self_neighbours

#: Known variants: the original, and the one of toolboxes that square a squared distance once more.
VARIANTS = ('original', 'squared-twice')
#: Distances after which re-ranking may be asked for: ``cosine`` normalises the features first.
METRICS = ('euclidean', 'sqeuclidean', 'cosine')
#: Elements that one step of the vectorised code may hold at a time.
STEP_ELEMENTS = 2**22


@dataclass
class SparseRows:
    """A sparse matrix by rows: row i has the columns ``columns[starts[i]:starts[i + 1]]`` (int64, ascending) with the
    values of the same places."""

    starts: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor

    @property
    def lengths(self) -> torch.Tensor:
        """Number of entries of each row."""
        return self.starts.diff()


def k_reciprocal_rerank(query_feats: Array,
                        gallery_feats: Array,
                        k1: int = 20,
                        k2: int = 6,
                        lambda_value: float = 0.3,
                        *,
                        metric: str = 'euclidean',
                        variant: str = 'original',
                        backend: str = 'builtin') -> Array:
    r"""Distances after re-ranking with k-reciprocal encoding (Zhong et al. 2017).

    .. math:: d^*(q, g) = (1 - \lambda) \, d_J(q, g) + \lambda \, \frac{d(q, g)}{\max_x d(q, x)}

    with :math:`d` the *squared* Euclidean distance, x over all queries and gallery images, and :math:`d_J` the Jaccard
    distance of the encodings, as the authors' code computes it: neighbourhoods of k1 + 1 rows with the row itself, half
    neighbourhoods of ``round(k1 / 2) + 1`` (half to even), the test on 2/3 overlap, weights :math:`e^{-d / \max d}`
    normalised to sum 1, and the mean over the k2 nearest rows (local query expansion). A row comes first among its own
    neighbours; equal distances go by row, queries before gallery.

    Memory grows with (Q + G) x k1, a copy of the features, and the result. :class:`KReciprocalDistances` gives blocks
    of the result instead.

    Args:
        query_feats (np.ndarray | torch.Tensor): Features of shape ``(Q, C)``, on the CPU or a CUDA device.
        gallery_feats (np.ndarray | torch.Tensor): Features of shape ``(G, C)`` of the same type.
        k1 (int): Size of the neighbourhoods, below Q + G. Defaults to 20.
        k2 (int): Rows of the local query expansion, 1 for none. Defaults to 6.
        lambda_value (float): Weight of the original distance, 0 to 1. Defaults to 0.3.
        metric (str): ``'euclidean'`` (or ``'sqeuclidean'``, the same here) or ``'cosine'``, which normalises the
            features first. Defaults to ``'euclidean'``.
        variant (str): ``'original'`` or ``'squared-twice'``, the fourth power of the Euclidean distance, for comparison
            with torchreid, whose engine hands squared distances to a function that squares them. Defaults to
            ``'original'``.
        backend (str): Search for neighbours, see :func:`mmreid.utils.nearest.self_neighbours`. Defaults to
            ``'builtin'``.

    Returns:
        np.ndarray | torch.Tensor: Distances of shape ``(Q, G)``, of the kind and on the device of the features.

    Raises:
        ValueError: If a parameter is out of its range, shapes or types do not fit, or a feature is not finite.
    """
    distances = KReciprocalDistances(query_feats, gallery_feats, k1, k2, lambda_value, metric=metric, variant=variant,
                                     backend=backend, keep=True)
    result = distances.kept
    step = distances.rows_at_a_time
    for start in range(0, len(result), step):
        distances.fill(result[start:start + step], start, min(start + step, len(result)))
    tensors = isinstance(query_feats, torch.Tensor) or isinstance(gallery_feats, torch.Tensor)
    return result if tensors else result.numpy()


class KReciprocalDistances:
    """Blocks of re-ranked distances, for a ranking that never holds all of them.

    ``distances(start, stop)`` returns those of the queries ``start`` to ``stop``, of shape ``(stop - start, G)``, a
    tensor in memory that the next call uses again. The encoding is computed when the object is made. Arguments and
    errors are those of :func:`k_reciprocal_rerank`, and ``keep``: whether the squared distances of queries and gallery,
    which the search for neighbours computes anyway, are to be kept in ``kept`` ``(Q, G)``.
    """

    def __init__(self, query_feats: Array, gallery_feats: Array, k1: int = 20, k2: int = 6, lambda_value: float = 0.3,
                 *, metric: str = 'euclidean', variant: str = 'original', backend: str = 'builtin',
                 keep: bool = False) -> None:
        query, gallery = same_kind(as_matrix(query_feats, 'query_feats'), as_matrix(gallery_feats, 'gallery_feats'))
        check_settings(k1, k2, len(query) + len(gallery), metric, variant)
        if not 0 <= lambda_value <= 1:
            raise ValueError(f'lambda_value must lie between 0 and 1, got {lambda_value}')
        for feats, name in ((query, 'query_feats'), (gallery, 'gallery_feats')):
            square_norms(feats, name)
        self._lambda, self._power = lambda_value, 2 if variant == 'squared-twice' else 1
        self._feats = torch.cat([as_tensor(query), as_tensor(gallery)])
        if metric == 'cosine':
            self._feats /= self._feats.norm(dim=1, keepdim=True).clamp_(min=MIN_NORM)
        self.query, self.gallery = self._feats[:len(query)], self._feats[len(query):]
        self._norms = square_norms(self._feats, 'features')
        self.kept = self.gallery.new_empty(len(query), len(gallery)) if keep else None
        self._num_kept = 0
        neighbours = self_neighbours(self._feats, max(k1 + 1, k2), backend, self._keep if keep else None)
        # Where all rows are equal, distances are 0, and what a product rounds them to must not be scaled up.
        farthest = neighbours.farthest[:len(query)]
        self._scale = farthest.masked_fill(farthest == 0, torch.inf)
        encoding = k_reciprocal_encoding(self._feats, neighbours, k1, k2, self._power)
        self._query_rows = _row_slice(encoding, 0, len(query))
        self._by_column = _transposed(_row_slice(encoding, len(query), len(self._feats)), len(self._feats))
        self._buffer = self.query[:0]

    @property
    def device(self) -> torch.device:
        """Where the blocks lie."""
        return self._feats.device

    @property
    def rows_at_a_time(self) -> int:
        """Number of queries whose distances are filled in one go."""
        return max(1, 4 * STEP_ELEMENTS // len(self.gallery))

    def __call__(self, start: int, stop: int) -> torch.Tensor:
        """Distances of the queries ``start`` to ``stop``."""
        if len(self._buffer) < stop - start:
            self._buffer = self.gallery.new_empty(stop - start, len(self.gallery))
        return self.fill(self._buffer[:stop - start], start, stop)

    def fill(self, out: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Write the distances of the queries ``start`` to ``stop`` into a tensor ``(stop - start, G)``."""
        if self._lambda:
            if not self._num_kept or out.data_ptr() != self.kept[start].data_ptr():
                product(self.query[start:stop] * -2, self.gallery, out)
                out += self._norms[len(self.query):]
                out += self._norms[start:stop, None]
            out /= self._scale[start:stop, None]
            out.clamp_(0, 1)
            if self._power == 2:
                out.square_()
            out *= self._lambda
        else:
            out.zero_()
        # Most pairs share nothing: their Jaccard distance is 1.
        out += 1 - self._lambda
        for pairs, overlap in self._overlaps(start, stop):
            out.view(-1)[pairs] -= (1 - self._lambda) * overlap / (2 - overlap)
        return out

    def _keep(self, rows: slice, columns: slice, block: torch.Tensor) -> None:
        """Keep what a block has of the distances between queries and gallery."""
        count = len(self.query)
        height, first = min(rows.stop, count) - rows.start, max(columns.start, count)
        if height > 0 and first < columns.stop:
            self.kept[rows.start:rows.start + height, first - count:columns.stop - count] = \
                block[:height, first - columns.start:]
            self._num_kept += 1

    def _overlaps(self, start: int, stop: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Pairs (as places in the block) whose encodings overlap, and the sum of the smaller weights of both."""
        for _, number, overlap in _overlaps(_row_slice(self._query_rows, start, stop), self._by_column,
                                            len(self.gallery)):
            yield number, overlap


def check_settings(k1: int, k2: int, count: int, metric: str = 'euclidean', variant: str = 'original') -> None:
    """Check the parameters of the encoding of ``count`` rows.

    Raises:
        ValueError: If one is out of its range.
    """
    if metric not in METRICS:
        raise ValueError(f'metric must be one of {", ".join(METRICS)}, got {metric!r}')
    if variant not in VARIANTS:
        raise ValueError(f'variant must be one of {", ".join(VARIANTS)}, got {variant!r}')
    for name, value in (('k1', k1), ('k2', k2)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f'{name} must be an integer of at least 1, got {value!r}')
    if k1 >= count or k2 > count:
        raise ValueError(f'k1 must be smaller than the {count} images there are (queries and gallery together) and k2 '
                         f'not larger, got k1={k1} and k2={k2}')


def k_reciprocal_encoding(feats: torch.Tensor, neighbours: Neighbours, k1: int, k2: int, power: int = 1) -> SparseRows:
    """Weights of the k-reciprocal neighbours of each row, after local query expansion.

    Args:
        feats (torch.Tensor): Features ``(N, C)``.
        neighbours (Neighbours): Of at least ``max(k1 + 1, k2)`` rows each, with the farthest.
        k1 (int): Size of the neighbourhoods without the row itself.
        k2 (int): Rows of the local query expansion.
        power (int): Exponent of the squared distances. Defaults to 1.

    Returns:
        SparseRows: N rows, each of sum 1.
    """
    lengths, columns = _expanded_sets(neighbours.index, k1)
    scale = neighbours.farthest.clamp(min=torch.finfo(feats.dtype).tiny)
    owner = torch.repeat_interleave(lengths)
    distances = _pair_distances(feats, neighbours, owner, columns)
    weights = (-(distances / scale[owner])**power).exp()
    sums = torch.zeros_like(scale).index_add_(0, owner, weights)
    encoding = SparseRows(_starts(lengths), columns, weights / sums[owner])
    return encoding if k2 == 1 else _mean_of_rows(encoding, neighbours.index[:, :k2])


def _expanded_sets(index: torch.Tensor, k1: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k-reciprocal sets R*(i): those of k1, with the half sets of members that overlap them by more than 2/3.

    Returns their sizes and, one set after another, their rows.
    """
    half = int(np.around(k1 / 2)) + 1
    near, nearer = index[:, :k1 + 1], index[:, :half]
    mutual, mutual_half = _mutual(near), _mutual(nearer)
    half_sizes = mutual_half.sum(1)
    found = []
    for part in _row_parts(len(index), (k1 + 1) * half * (k1 + 1)):
        member, is_member = near[part], mutual[part]
        # Half sets of the members, (B, k1 + 1, half), and which of their rows the set of the row has itself.
        candidates, is_candidate = nearer[member], mutual_half[member]
        known = torch.zeros_like(is_candidate)
        for column in range(k1 + 1):
            known |= (candidates == member[:, column, None, None]) & is_member[:, column, None, None]
        overlap = (known & is_candidate).sum(2)
        # The authors compare in double precision: 2. / 3 * size.
        joins = is_member & (overlap.double() > 2. / 3 * half_sizes[member].double())
        taken = torch.cat([is_member, (is_candidate & joins[:, :, None]).flatten(1)], 1)
        found.append(_distinct_columns(torch.cat([member, candidates.flatten(1)], 1), taken))
    lengths, columns = zip(*found)
    return torch.cat(lengths), torch.cat(columns)


def _mutual(near: torch.Tensor) -> torch.Tensor:
    """Which neighbours have the row among their own."""
    rows = torch.arange(len(near), device=near.device)
    return torch.cat([(near[near[part]] == rows[part, None, None]).any(2)
                      for part in _row_parts(len(near), near.shape[1]**2)])


def _distinct_columns(columns: torch.Tensor, taken: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many different columns are taken in each row, and these, ascending."""
    columns = columns.masked_fill(~taken, -1).sort(1).values
    fresh = columns >= 0
    fresh[:, 1:] &= columns[:, 1:] != columns[:, :-1]
    return fresh.sum(1), columns[fresh]


def _pair_distances(feats: torch.Tensor, neighbours: Neighbours, rows: torch.Tensor,
                    columns: torch.Tensor) -> torch.Tensor:
    """Squared distances of pairs of rows: looked up among the neighbours, computed where they are none."""
    result = torch.empty(len(rows), dtype=feats.dtype, device=feats.device)
    width = neighbours.index.shape[1]
    for part in _row_parts(len(rows), width):
        same = neighbours.index[rows[part]] == columns[part, None]
        known, place = same.max(1)
        result[part] = neighbours.distances[rows[part], place].masked_fill_(~known, -1)
    missing = (result < 0).nonzero()[:, 0]
    for part in missing.split(max(1, STEP_ELEMENTS // feats.shape[1])):
        result[part] = (feats[rows[part]] - feats[columns[part]]).square_().sum(1)
    return result


def _mean_of_rows(matrix: SparseRows, index: torch.Tensor) -> SparseRows:
    """For each i the mean of the rows ``index[i]``."""
    lengths, sums = matrix.lengths, []
    width = len(matrix.lengths)
    for part in _parts(lengths[index].sum(1), STEP_ELEMENTS):
        picked = index[part].reshape(-1)
        places = _ranges(matrix.starts[picked], lengths[picked])
        owner = torch.arange(part.start, part.stop, device=index.device).repeat_interleave(index.shape[1])
        number = owner.repeat_interleave(lengths[picked]) * width + matrix.columns[places]
        sums.append(_summed(number, matrix.values[places]))
    number, values = (torch.cat(parts) for parts in zip(*sums))
    counts = torch.bincount(number // width, minlength=len(index))
    return SparseRows(_starts(counts), number % width, values / index.shape[1])


def _overlaps(rows: SparseRows, by_column: SparseRows,
              width: int) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Sums over the columns of the smaller value of each row and of each row of a second matrix, where not 0.

    Memory is bounded by parts of the rows. ``by_column`` is the second matrix, of ``width`` rows, transposed. Yields
    the part, the pairs as ``row * width + second row``, ascending, and the sums.
    """
    owner, reach = torch.repeat_interleave(rows.lengths), by_column.lengths[rows.columns]
    per_row = torch.zeros_like(rows.lengths).index_add_(0, owner, reach)
    for part in _parts(per_row, STEP_ELEMENTS):
        entries = slice(int(rows.starts[part.start]), int(rows.starts[part.stop]))
        places = _ranges(by_column.starts[rows.columns[entries]], reach[entries])
        smaller = rows.values[entries].repeat_interleave(reach[entries]).minimum(by_column.values[places])
        number = owner[entries].repeat_interleave(reach[entries]) * width + by_column.columns[places]
        yield part, *_summed(number, smaller)


def _summed(number: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Different numbers, ascending, and the sum of the values of each."""
    order = number.sort(stable=True)
    distinct, place = torch.unique_consecutive(order.values, return_inverse=True)
    return distinct, values.new_zeros(len(distinct)).index_add_(0, place, values[order.indices])


def _transposed(rows: SparseRows, num_columns: int) -> SparseRows:
    owner = torch.repeat_interleave(rows.lengths)
    order = rows.columns.sort(stable=True)
    lengths = torch.bincount(rows.columns, minlength=num_columns)
    return SparseRows(_starts(lengths), owner[order.indices], rows.values[order.indices])


def _row_slice(rows: SparseRows, start: int, stop: int) -> SparseRows:
    a, b = int(rows.starts[start]), int(rows.starts[stop])
    return SparseRows(rows.starts[start:stop + 1] - a, rows.columns[a:b], rows.values[a:b])


def _starts(lengths: torch.Tensor) -> torch.Tensor:
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])


def _ranges(starts: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """All of ``start, start + 1, ... start + length - 1``, one range after another."""
    before = lengths.cumsum(0) - lengths
    return torch.arange(int(lengths.sum()), device=starts.device) + (starts - before).repeat_interleave(lengths)


def _row_parts(count: int, elements_per_row: int) -> list[slice]:
    step = max(1, STEP_ELEMENTS // elements_per_row)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _parts(lengths: torch.Tensor, limit: int) -> list[slice]:
    """Consecutive parts whose lengths sum to about the limit."""
    part = ((lengths.cumsum(0) - lengths) // limit).cpu().numpy()
    cuts = np.flatnonzero(np.diff(part, prepend=-1)).tolist() + [len(part)]
    return [slice(a, b) for a, b in zip(cuts[:-1], cuts[1:])]


def jaccard_neighbours(feats: Any, k1: int = 20, k2: int = 6, max_distance: float = 1.) -> SparseRows:
    """Jaccard distances of the k-reciprocal encodings below a bound, for density clustering.

    Args:
        feats (np.ndarray | torch.Tensor): Features of shape ``(N, C)``.
        k1 (int): Size of the neighbourhoods. Defaults to 20.
        k2 (int): Rows of the local query expansion. Defaults to 6.
        max_distance (float): Pairs at this distance or beyond are left out. Defaults to 1, what shares nothing.

    Returns:
        SparseRows: N rows with the columns in reach (the row itself at distance 0 among them) and their distances.

    Raises:
        ValueError: If a parameter is out of its range or a feature is not finite.
    """
    feats = as_tensor(as_matrix(feats, 'feats'))
    check_settings(k1, k2, len(feats))
    encoding = k_reciprocal_encoding(feats, self_neighbours(feats, max(k1 + 1, k2)), k1, k2)
    count = len(feats)
    lengths, columns, values = [], [], []
    for rows, number, overlap in _overlaps(encoding, _transposed(encoding, count), count):
        distances = (1 - overlap / (2 - overlap)).clamp_(min=0)
        near = distances < max_distance
        lengths.append(torch.bincount(number[near] // count - rows.start, minlength=rows.stop - rows.start))
        columns.append(number[near] % count)
        values.append(distances[near])
    return SparseRows(_starts(torch.cat(lengths)), torch.cat(columns), torch.cat(values))
