"""Exact nearest neighbours by blocks of products; nothing of size N x M is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Optional

import numpy as np
import torch

from .features import product, repeated_rows, square_norms

#: Rows and columns of a block of products: large enough for the BLAS, small enough for the caches of the selection.
BLOCK_ROWS = {'cpu': 4096, 'cuda': 8192}
#: Columns of a group whose minimum is looked at before its members are.
GROUP_SIZE = 16
#: Ways to search: ``'auto'`` takes FAISS for searches on the CPU where it is installed.
BACKENDS = ('auto', 'builtin', 'faiss')


EachBlock = Callable[[slice, slice, torch.Tensor], None]


@dataclass
class Neighbours:
    """Nearest rows, ascending by distance and, where that is equal, by row.

    ``distances`` ``(N, k)`` are squared Euclidean, ``index`` ``(N, k)`` int64 rows; ``farthest`` ``(N,)`` is the
    largest squared distance of each row to any other, where it was asked for.
    """

    distances: torch.Tensor
    index: torch.Tensor
    farthest: Optional[torch.Tensor] = None


def nearest_neighbours(query: torch.Tensor, gallery: torch.Tensor, k: int, backend: str = 'auto') -> Neighbours:
    """The k rows of the gallery that are nearest to each query.

    Args:
        query (torch.Tensor): Features ``(Q, C)``, float32 or float64, on the CPU or a CUDA device.
        gallery (torch.Tensor): Features ``(G, C)`` of the same type and device.
        k (int): Number of neighbours, at most G.
        backend (str): ``'builtin'``, ``'faiss'`` or ``'auto'`` (see :data:`BACKENDS`). Both are exact and agree but
            for distances within rounding of a tie. Defaults to ``'auto'``.

    Raises:
        ValueError: If k does not fit, the backend is unknown, or a feature is not finite.
        ImportError: If FAISS is asked for and not installed.
    """
    _check_k(k, len(gallery))
    norms = square_norms(query, 'query'), square_norms(gallery, 'gallery')
    if _use_faiss(backend, query):
        return _faiss_search(query, gallery, k)
    found, step = [], _block_rows(query)
    for rows, row_norms in zip(query.split(step), norms[0].split(step)):
        scaled, best = rows * -2, None
        for start in range(0, len(gallery), step):
            columns = gallery[start:start + step]
            block = product(scaled, columns, columns.new_empty(len(rows), len(columns)))
            block += row_norms[:, None]
            block += norms[1][start:start + step]
            best = _merged(best, block, start, k)
        found.append(best)
    distances, index = (torch.cat(parts) for parts in zip(*found))
    return _ordered(distances, index)


def self_neighbours(feats: torch.Tensor, k: int, backend: str = 'builtin',
                    each_block: Optional[EachBlock] = None) -> Neighbours:
    """The k rows that are nearest to each row, itself first, and the distance of the farthest.

    The product of the features with themselves is symmetric, so only one half of its blocks is computed. Rows that are
    equal bit by bit are at distance 0 and get the same neighbours.

    Args:
        feats (torch.Tensor): Features ``(N, C)``, float32 or float64, on the CPU or a CUDA device.
        k (int): Number of neighbours with the row itself, at most N.
        backend (str): As in :func:`nearest_neighbours`. FAISS searches the whole square, twice (it needs a second pass
            for the farthest row), and in float32 only. Defaults to ``'builtin'``, which is faster.
        each_block (Callable, optional): ``each_block(rows, columns, block)`` is called with each computed block of
            squared distances (not yet clamped at 0, and minus infinity for a row and itself) and the slices it belongs
            to; rows never lie behind columns. Not called where rows are repeated or FAISS searches. Defaults to None.

    Raises:
        ValueError: If k does not fit, the backend is unknown, or a feature is not finite.
        ImportError: If FAISS is asked for and not installed.
    """
    _check_k(k, len(feats))
    repeated, first = repeated_rows(feats.numpy() if feats.device.type == 'cpu' else feats)
    if not len(repeated):
        return _distinct_neighbours(feats, k, backend, each_block)
    device = feats.device
    group = torch.arange(len(feats), device=device)
    group[torch.from_numpy(repeated).to(device)] = torch.from_numpy(first).to(device)
    distinct, member = torch.unique(group, return_inverse=True)
    found = _distinct_neighbours(feats[distinct], min(k, len(distinct)), backend)
    return _with_repeated(found, member, k)


def _distinct_neighbours(feats: torch.Tensor, k: int, backend: str,
                         each_block: Optional[EachBlock] = None) -> Neighbours:
    norms = square_norms(feats, 'features')
    if backend != 'builtin' and _use_faiss(backend, feats):
        return _faiss_self_search(feats, norms, k)
    step, count = _block_rows(feats), len(feats)
    best: dict[int, Optional[tuple]] = {start: None for start in range(0, count, step)}
    farthest = torch.zeros_like(norms)
    buffer = feats.new_empty(min(step, count)**2)
    for a in best:
        rows = slice(a, min(a + step, count))
        scaled = feats[rows] * -2
        for b in range(a, count, step):
            columns = slice(b, min(b + step, count))
            shape = rows.stop - a, columns.stop - b
            block = product(scaled, feats[columns], buffer[:shape[0] * shape[1]].view(shape))
            block += norms[rows, None]
            block += norms[columns]
            if a == b:
                block.fill_diagonal_(-torch.inf)
            best[a] = _merged(best[a], block, b, k)
            farthest[rows] = farthest[rows].maximum(block.amax(1))
            if a != b:
                best[b] = _merged(best[b], block.T, a, k)
                farthest[columns] = farthest[columns].maximum(block.amax(0))
            if each_block is not None:
                each_block(rows, columns, block)
    distances, index = (torch.cat(parts) for parts in zip(*best.values()))
    # The row itself, at minus infinity, stays in front of what rounding has put below 0.
    found = _ordered(torch.where(distances == -torch.inf, distances, distances.clamp(min=0)), index)
    return Neighbours(found.distances.clamp_(min=0), found.index, farthest.clamp_(min=0))


def _merged(best: Optional[tuple], block: torch.Tensor, offset: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k smallest of those found so far and of a block whose first column is number ``offset``.

    Of equal values those with the lowest number are taken, which topk alone does not promise.
    """
    columns = _candidates(block, k, None if best is None or best[0].shape[1] < k else best[0][:, -1:])
    if columns is not None and not columns.shape[1]:
        return best
    values = block if columns is None else block.gather(1, columns)
    index = (torch.arange(block.shape[1], device=block.device).expand(len(block), -1) if columns is None else
             columns) + offset
    if best is not None:
        values, index = torch.cat([best[0], values], 1), torch.cat([best[1], index], 1)
    if k >= values.shape[1]:
        return values.clone(), index
    found, place = values.topk(k + 1, dim=1, largest=False)
    tied = (found[:, k - 1] == found[:, k]).nonzero()[:, 0]
    found, index = found[:, :k].contiguous(), index.gather(1, place[:, :k])
    if len(tied):
        found[tied], index[tied] = _sorted_rows(best, block, offset, k, tied)
    return found, index


def _candidates(block: torch.Tensor, k: int, bound: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
    """Columns among which the k smallest values of each row are, with a further one that equals the last of them if
    there is any; None: all columns. Values above a bound ``(N, 1)`` are not wanted.

    Columns are dealt into groups, and the k + 1 groups with the smallest values hold the k + 1 smallest values. Group
    minima are found at the speed of memory, and topk has far less to look at.
    """
    groups = block.shape[1] // GROUP_SIZE
    if block.shape[1] % GROUP_SIZE or groups < 4 * (k + 1):
        return None
    if block.stride(0) == 1:  # a turned block: reduced in the order of its memory, which is many times faster
        lowest = block.T.unflatten(0, (GROUP_SIZE, groups)).amin(0).T
    else:
        lowest = block.unflatten(1, (GROUP_SIZE, groups)).amin(1)
    wanted = k + 1 if bound is None else min(k + 1, int((lowest <= bound).sum(1).max()))
    near = lowest.topk(wanted, dim=1, largest=False, sorted=False).indices
    return (near[:, None] + torch.arange(GROUP_SIZE, device=block.device)[:, None] * groups).flatten(1)


def _sorted_rows(best: Optional[tuple], block: torch.Tensor, offset: int, k: int,
                 rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The k smallest of some rows by sorting them, first by number and then by value."""
    values = block[rows]
    index = (torch.arange(block.shape[1], device=block.device) + offset).expand(len(rows), -1)
    if best is not None:
        values, index = torch.cat([best[0][rows], values], 1), torch.cat([best[1][rows], index], 1)
    found = _ordered(values, index)
    return found.distances[:, :k], found.index[:, :k]


def _ordered(distances: torch.Tensor, index: torch.Tensor) -> Neighbours:
    """By distance, then by row."""
    by_row = index.sort(1)
    by_distance = distances.gather(1, by_row.indices).sort(dim=1, stable=True)
    return Neighbours(by_distance.values, by_row.values.gather(1, by_distance.indices))


def _with_repeated(found: Neighbours, member: torch.Tensor, k: int) -> Neighbours:
    """Neighbours among all rows from those among the distinct ones; ``member`` says which distinct row each row is."""
    device, count = member.device, len(member)
    by_group = member.sort(stable=True).indices
    sizes = torch.bincount(member)
    starts = sizes.cumsum(0) - sizes
    if found.index.shape[1] == k:
        distances, index = found.distances[member], by_group[starts[found.index[member]]]
        repeated = (sizes[found.index[member]] > 1).any(1)
    else:
        distances, index = member.new_empty(count, k, dtype=found.distances.dtype), member.new_empty(count, k)
        repeated = torch.ones_like(member, dtype=torch.bool)
    for row in repeated.nonzero()[:, 0].tolist():
        # More than k rows of a group cannot be among the nearest, but for the row itself.
        groups = found.index[member[row]]
        lengths = sizes[groups].clamp(max=k)
        # All rows of the neighbouring groups, then by distance and row, with the row itself in front.
        offset = torch.arange(int(lengths.sum()), device=device) - (lengths.cumsum(0) - lengths).repeat_interleave(
            lengths)
        rows = by_group[starts[groups].repeat_interleave(lengths) + offset]
        values = found.distances[member[row]].repeat_interleave(lengths)
        others = rows != row
        rows = torch.cat([torch.tensor([row], device=device), rows[others]])
        values = torch.cat([values.new_zeros(1), values[others]])
        order = rows.argsort()
        order = order[torch.where(rows[order] == row, -1., values[order]).argsort(stable=True)][:k]
        distances[row], index[row] = values[order], rows[order]
    return Neighbours(distances, index, found.farthest[member] if found.farthest is not None else None)


def _block_rows(feats: torch.Tensor) -> int:
    return BLOCK_ROWS['cuda' if feats.is_cuda else 'cpu']


def _check_k(k: int, count: int) -> None:
    if not 1 <= k <= count:
        raise ValueError(f'the number of neighbours must lie between 1 and the {count} rows there are, got {k}')


def _use_faiss(backend: str, feats: torch.Tensor) -> bool:
    if backend not in BACKENDS:
        raise ValueError(f'backend must be one of {", ".join(BACKENDS)}, got {backend!r}')
    installed = find_spec('faiss') is not None
    if backend == 'faiss' and not installed:
        raise ImportError('backend="faiss" needs FAISS: pip install faiss-cpu; "builtin" gives the same neighbours')
    fitting = not feats.is_cuda and feats.dtype == torch.float32
    return backend == 'faiss' or (backend == 'auto' and installed and fitting)


def _faiss_search(query: torch.Tensor, gallery: torch.Tensor, k: int) -> Neighbours:
    """Through FAISS on the CPU (in float32, the only type it has)."""
    import faiss
    index = faiss.IndexFlatL2(gallery.shape[1])
    index.add(_contiguous(gallery))
    distances, rows = index.search(_contiguous(query), k)
    return _ordered(*(torch.from_numpy(values).to(query.device) for values in (distances, rows)))


def _faiss_self_search(feats: torch.Tensor, norms: torch.Tensor, k: int) -> Neighbours:
    found = _faiss_search(feats, feats, k)
    import faiss
    # The farthest row maximises |y|^2 - 2 x.y, an inner product of (x, 1) with (-2 y, |y|^2).
    ones = torch.ones_like(norms)[:, None]
    index = faiss.IndexFlatIP(feats.shape[1] + 1)
    index.add(_contiguous(torch.cat([feats * -2, norms[:, None]], 1)))
    farthest = torch.from_numpy(index.search(_contiguous(torch.cat([feats, ones], 1)), 1)[0][:, 0]).to(feats.device)
    rows = torch.arange(len(feats), device=feats.device)[:, None]
    # The row itself in front, also where rounding put it elsewhere or left it out.
    found.distances.masked_fill_(found.index == rows, torch.inf)
    found.distances[(found.index != rows).all(1), -1] = torch.inf
    order = found.distances.sort(dim=1, stable=True)
    index = torch.cat([rows, found.index.gather(1, order.indices)[:, :-1]], 1)
    distances = torch.cat([torch.zeros_like(norms)[:, None], order.values[:, :-1]], 1)
    return Neighbours(distances.clamp_(min=0), index, (farthest + norms).clamp_(min=0))


def _contiguous(values: torch.Tensor) -> Any:
    return np.ascontiguousarray(values.cpu().numpy(), dtype=np.float32)
