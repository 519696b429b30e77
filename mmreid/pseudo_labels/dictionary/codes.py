"""Codes for given atoms: one sparse linear system for each direction of the atoms, all of them at once."""

from collections.abc import Callable
from typing import Optional

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from .graph import as_torch, laplacian_of

#: Smallest square of a singular value of the atoms that is divided by: the ridge of directions that no atom has.
RIDGE = 1e-8
#: Images of a connected component up to which it is solved by its eigenvectors, and above which by iteration.
LARGEST_COMPONENT = 256
#: Residual, as a share of the right-hand side, at which the iteration stops, and its largest number of steps.
RESIDUAL, MAX_STEPS = 1e-8, 1000
#: Who multiplies with the sparse matrix; ``'auto'``: SciPy on the CPU, torch on a CUDA device.
BACKENDS = ('auto', 'scipy', 'torch')


def directions_of(atoms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Squares of the singular values of the atoms, ``(K,)`` and at least :data:`RIDGE`, and their directions among the
    atoms, the columns of a matrix ``(K, K)``."""
    squares, vectors = torch.linalg.eigh(atoms @ atoms.T)
    return squares.clamp(min=RIDGE), vectors


class GraphSystem:
    r"""Solves :math:`(s_k I + 2 \lambda L)\, x_k = b_k` for many k with the same graph.

    Setting the gradient of Eq. 2 with respect to the codes to zero gives :math:`D^\top D Z + 2 \lambda Z L =
    D^\top Y`, and with :math:`D^\top D = U S U^\top` this falls apart into one system over the images for each
    direction k, with the same L and another shift :math:`s_k`. A factorisation each would cost K of them in every
    iteration. Instead

    * a small connected component of the graph is solved by the eigenvectors of its Laplacian, which are computed once:
      a new shift then costs two small products. Nearest neighbours across two cameras are chains and stars of a few
      images, and all of them are such components;
    * in larger ones (with more cameras, often a single one of all images) conjugate gradients with the diagonal as a
      preconditioner run on all directions at once, a sparse product a step, from the last solution.

    Nothing of size N x N is made: memory is N x K, and N x 256 at most for the eigenvectors. A solution by iteration
    has a residual of ``accuracy`` of the right-hand side; the objective it leaves is off by the
    square of that.

    Args:
        graph (csr_matrix, optional): W, symmetric ``(N, N)``; None: no graph, and the system is diagonal.
        weight (float): Lambda.
        device (torch.device): Where to compute.
        backend (str): See :data:`BACKENDS`. Defaults to ``'auto'``.
        largest_component (int): Up to this size eigenvectors are used. Defaults to 256.
        accuracy (float): Of a solution by iteration. Defaults to 1e-8.
    """

    def __init__(self, graph: Optional[csr_matrix], weight: float, device: torch.device, backend: str = 'auto',
                 largest_component: int = LARGEST_COMPONENT, accuracy: float = RESIDUAL) -> None:
        if backend not in BACKENDS:
            raise ValueError(f'backend must be one of {", ".join(BACKENDS)}, got {backend!r}')
        if backend == 'scipy' and device.type != 'cpu':
            raise ValueError(f"backend='scipy' computes on the CPU, and the features are on {device}; choose 'torch'")
        self.weight, self.device, self.accuracy = weight, device, accuracy
        self.with_torch = backend == 'torch' or device.type != 'cpu'
        self.steps, self.residual = 0, 0.  # of the last solution by iteration
        self._blocks: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._rest = torch.empty(0, dtype=torch.int64, device=device)
        self.laplacian = None if graph is None or weight == 0 else laplacian_of(graph)
        if self.laplacian is None:
            return
        self._multiply_all = self._multiplier(self.laplacian)
        _, component = connected_components(self.laplacian, directed=False)
        self._split(component, largest_component)

    def _split(self, component: np.ndarray, largest: int) -> None:
        sizes = np.bincount(component)
        by_component = np.argsort(component, kind='stable')
        starts = np.cumsum(sizes) - sizes
        for size in np.unique(sizes[sizes <= largest]).tolist():
            rows = by_component[starts[sizes == size][:, None] + np.arange(size)]
            values, vectors = torch.linalg.eigh(self._dense(rows))
            self._blocks.append((torch.from_numpy(rows).to(self.device), values.clamp_(min=0), vectors))
        rest = np.flatnonzero(sizes[component] > largest)
        if len(rest):
            self._rest = torch.from_numpy(rest).to(self.device)
            inside = self.laplacian[rest][:, rest]
            self._multiply = self._multiplier(inside)
            self._degrees = torch.from_numpy(inside.diagonal()).to(self.device)[:, None]

    def _dense(self, rows: np.ndarray) -> torch.Tensor:
        """Laplacians ``(M, n, n)`` of M components of n images."""
        number, size = rows.shape
        place = np.full(self.laplacian.shape[0], -1)
        place[rows.ravel()] = np.tile(np.arange(size), number)
        entries = self.laplacian[rows.ravel()].tocoo()
        dense = np.zeros((number, size, size))
        dense[entries.row // size, entries.row % size, place[entries.col]] = entries.data
        return torch.from_numpy(dense).to(self.device)

    def _multiplier(self, matrix: csr_matrix) -> Callable[[torch.Tensor], torch.Tensor]:
        if self.with_torch:
            sparse = as_torch(matrix, self.device)
            return lambda values: sparse @ values
        return lambda values: torch.from_numpy(matrix @ values.numpy())

    def pulls(self, codes: torch.Tensor) -> torch.Tensor:
        r""":math:`Z L Z^\top`, ``(K, K)``, of codes ``(N, K)`` in the rows; zeros without a graph."""
        if self.laplacian is None:
            return codes.new_zeros(codes.shape[1], codes.shape[1])
        found = codes.T @ self._multiply_all(codes)
        return (found + found.T) / 2

    def roughness(self, codes: torch.Tensor) -> float:
        r""":math:`\Omega(Z) = \sum_{ij} W_{ij} \lVert z_i - z_j \rVert^2` of codes ``(N, K)`` in the rows; 0 without a
        graph."""
        return 0. if self.laplacian is None else max(0., 2 * float((codes * self._multiply_all(codes)).sum()))

    def solve(self, shifts: torch.Tensor, right: torch.Tensor, start: Optional[torch.Tensor] = None) -> torch.Tensor:
        """Solutions, a column for each shift.

        Args:
            shifts (torch.Tensor): Positive, float64 ``(K,)``.
            right (torch.Tensor): Right-hand sides, float64 ``(N, K)``.
            start (torch.Tensor, optional): Where the iteration starts, ``(N, K)``. From there the objective only
                falls. Defaults to None: at 0.
        """
        self.steps, self.residual = 0, 0.
        if self.laplacian is None:
            return right / shifts
        result = torch.empty_like(right)
        for rows, values, vectors in self._blocks:
            turned = vectors.mT @ right[rows]
            turned /= shifts + 2 * self.weight * values[:, :, None]
            result[rows] = vectors @ turned
        if len(self._rest):
            result[self._rest] = self._iterate(shifts, right[self._rest],
                                               None if start is None else start[self._rest])
        return result

    def _iterate(self, shifts: torch.Tensor, right: torch.Tensor, start: Optional[torch.Tensor]) -> torch.Tensor:
        """Preconditioned conjugate gradients on all columns."""
        factor = 2 * self.weight
        diagonal = shifts + factor * self._degrees

        def system(values: torch.Tensor) -> torch.Tensor:  # reads the shifts of the columns that are open
            return self._multiply(values).mul_(factor).add_(values * shifts)

        found = right / diagonal if start is None else start.clone()
        sizes = right.norm(dim=0)
        # A direction that has next to nothing of the features is as exact as the others in absolute numbers.
        sizes = sizes.clamp(min=max(1e-6 * float(sizes.max()), torch.finfo(torch.float64).tiny))
        # Columns that are not done yet; most are soon, and only directions that few atoms have take long.
        open_columns = torch.arange(len(shifts), device=self.device)
        values, rest = found.clone(), right - system(found)
        turned = rest / diagonal
        way, product = turned.clone(), (rest * turned).sum(0)
        while True:
            residuals = rest.norm(dim=0) / sizes[open_columns]
            wanted = residuals > self.accuracy
            if not wanted.any() or self.steps >= MAX_STEPS:
                found[:, open_columns] = values
                self.residual = max(self.residual, float(residuals.max()))
                return found
            if int(wanted.sum()) <= .8 * len(wanted):
                found[:, open_columns] = values
                self.residual = max(self.residual, float(residuals[~wanted].max()))
                open_columns, product = open_columns[wanted], product[wanted]
                shifts, diagonal = shifts[wanted], diagonal[:, wanted]
                values, rest, turned, way = (part[:, wanted] for part in (values, rest, turned, way))
            ahead = system(way)
            length = product / (way * ahead).sum(0).clamp(min=torch.finfo(torch.float64).tiny)
            values.addcmul_(way, length)
            rest.addcmul_(ahead, length, value=-1)
            torch.div(rest, diagonal, out=turned)
            before, product = product, (rest * turned).sum(0)
            way.mul_(product / before.clamp(min=torch.finfo(torch.float64).tiny)).add_(turned)
            self.steps += 1


def solve_codes(atoms: torch.Tensor, feats: torch.Tensor, system: GraphSystem,
                start: Optional[torch.Tensor] = None) -> torch.Tensor:
    """Best codes for given atoms, Eq. 2 with the atoms fixed.

    Args:
        atoms (torch.Tensor): Float64 ``(K, C)``.
        feats (torch.Tensor): Float64 ``(N, C)``.
        system (GraphSystem): Over the N images.
        start (torch.Tensor, optional): Codes from which an iteration starts, ``(N, K)``. Defaults to None.

    Returns:
        torch.Tensor: Codes ``(N, K)``.
    """
    squares, vectors = directions_of(atoms)
    found = system.solve(squares, feats @ (atoms.T @ vectors), None if start is None else start @ vectors)
    return found @ vectors.T
