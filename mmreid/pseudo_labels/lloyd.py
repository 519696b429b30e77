"""Lloyd's algorithm in torch: full assignments by blocks, on the CPU and on CUDA devices."""

import math

import torch

from mmreid.utils.features import full_float32_matmul, product, square_norms

#: Elements of a block of distances between rows and centres.
BLOCK_ELEMENTS = {'cpu': 2**21, 'cuda': 2**26}
#: Elements of the features that are widened to float64 at a time.
WIDE_ELEMENTS = 2**20


def lloyd(feats: torch.Tensor, centres: torch.Tensor, max_iter: int,
          tol: float) -> tuple[torch.Tensor, torch.Tensor, int, bool]:
    """Iterate until no label changes, or the centres move by no more than ``tol`` in the sum of squares.

    Iterations, the rule to stop and what happens to empty clusters are those of scikit-learn's ``KMeans``.

    Args:
        feats (torch.Tensor): Features ``(N, C)``, float32 or float64.
        centres (torch.Tensor): Initial centres ``(K, C)``, K at most N.
        max_iter (int): Largest number of iterations.
        tol (float): Squared Frobenius norm of the movement that counts as none.

    Returns:
        tuple: Labels int64 ``(N,)``, which are the nearest of the centres, the centres ``(K, C)``, the number of
        iterations, and whether it stopped by itself.
    """
    labels = None
    for iteration in range(1, max_iter + 1):
        before, labels = labels, assign(feats, centres)
        moved = update(feats, labels, centres)
        shift, centres = (moved - centres).square_().sum(), moved
        if before is not None and torch.equal(before, labels):
            return labels, centres, iteration, True
        if shift <= tol:
            return assign(feats, centres), centres, iteration, True
    return assign(feats, centres), centres, max_iter, False


def assign(feats: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Nearest centre of each row, int64 ``(N,)``; of equally near ones the first. Of the distances only a block is in
    memory at a time."""
    labels = torch.empty(len(feats), dtype=torch.int64, device=feats.device)
    scaled, norms = centres * -2, centres.square().sum(1)
    step = max(1, BLOCK_ELEMENTS[feats.device.type] // len(centres))
    buffer = feats.new_empty(min(step, len(feats)), len(centres))
    for start in range(0, len(feats), step):
        rows = feats[start:start + step]
        block = product(rows, scaled, buffer[:len(rows)])
        block += norms
        # The square norm of the row is the same for all centres.
        torch.argmin(block, 1, out=labels[start:start + step])
    return labels


def update(feats: torch.Tensor, labels: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Means of the clusters; those without rows move to the rows that are farthest from their centres.

    As in scikit-learn, a row that becomes a centre leaves its cluster. Where all rows lie on their centres there is
    nowhere to go, and a cluster without rows gets the mean of the largest one. Of equally far rows the first is taken.
    """
    count = len(centres)
    sizes, sums = torch.bincount(labels, minlength=count), cluster_sums(feats, labels, count)
    empty = (sizes == 0).nonzero()[:, 0]
    if len(empty):
        distances = square_distances(feats, centres, labels)
        far = distances.sort(descending=True, stable=True).indices[:len(empty)] if distances.max() > 0 else empty[:0]
        for cluster, row, old in zip(empty.tolist(), far.tolist(), labels[far].tolist()):
            sums[old] -= feats[row]
            sums[cluster] = feats[row]
            sizes[old] -= 1
            sizes[cluster] = 1
    means = sums.div_(sizes.clamp(min=1)[:, None])
    means[sizes == 0] = means[sizes.argmax()].clone()
    return means


def cluster_sums(feats: torch.Tensor, labels: torch.Tensor, count: int) -> torch.Tensor:
    """Sum of the rows of each cluster, ``(count, C)``, the same in each call, bit for bit."""
    sums = feats.new_zeros(count, feats.shape[1])
    if not feats.is_cuda:
        return sums.index_add_(0, labels, feats)
    # index_add_ adds in no fixed order on CUDA devices; a product with the indicators of the clusters does.
    step = max(1, BLOCK_ELEMENTS['cuda'] // count)
    clusters = torch.arange(count, device=feats.device)[:, None]
    with full_float32_matmul():
        for rows, own in zip(feats.split(step), labels.split(step)):
            sums.addmm_((clusters == own).to(feats.dtype), rows)
    return sums


def square_distances(feats: torch.Tensor, centres: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Squared distance of each row to the centre of its label, float64 ``(N,)``, from differences."""
    step = wide_rows(feats)
    parts = [(rows.double() - centres[own]).square_().sum(1)
             for rows, own in zip(feats.split(step), labels.split(step))]
    return torch.cat(parts)


def wide_rows(feats: torch.Tensor) -> int:
    """Rows that are widened to float64 at a time."""
    return max(1, WIDE_ELEMENTS // feats.shape[1])


def plus_plus(feats: torch.Tensor, num_clusters: int, seed: int) -> torch.Tensor:
    """Rows that k-means++ chooses as initial centres, int64 ``(num_clusters,)``.

    Arthur and Vassilvitskii, *k-means++: the advantages of careful seeding*, SODA 2007: each row is drawn with a
    probability in proportion to its squared distance to the nearest centre so far. As in their code and in
    scikit-learn, the best of ``2 + log(num_clusters)`` draws is taken.
    """
    generator = torch.Generator().manual_seed(seed)
    norms, trials = square_norms(feats, 'feats'), 2 + int(math.log(num_clusters))
    rows = [torch.randint(len(feats), (1, ), generator=generator).to(feats.device)]
    closest = _distances_to(feats, norms, rows[0])[0]
    for _ in range(1, num_clusters):
        cumulated = closest.cumsum(0, dtype=torch.float64)
        draws = torch.rand(trials, generator=generator, dtype=torch.float64).to(feats.device) * cumulated[-1]
        # The first row behind the draw: one at distance 0 is never it.
        candidates = torch.searchsorted(cumulated, draws, right=True).clamp_(max=len(feats) - 1)
        distances = _distances_to(feats, norms, candidates).minimum(closest)
        best = distances.sum(1, dtype=torch.float64).argmin()
        closest = distances[best]
        rows.append(candidates[best:best + 1])
    return torch.cat(rows)


def _distances_to(feats: torch.Tensor, norms: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Squared distances of a few rows to all, ``(len(rows), N)``."""
    block = product(feats[rows] * -2, feats, feats.new_empty(len(rows), len(feats)))
    block += norms
    block += norms[rows, None]
    block.clamp_(min=0)
    return block.scatter_(1, rows[:, None], 0.)
