"""Graph-regularised dictionary learning: codes and atoms in turn."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
import torch
from scipy.sparse import csr_matrix

from mmreid.utils.features import Array, as_matrix, as_tensor, square_norms

from ..cross_camera import check_spread
from .atoms import UNUSED, bounded, solve_atoms
from .balance import balance
from .codes import BACKENDS, RESIDUAL, GraphSystem, solve_codes
from .graph import check_graph
from .start import INITS, first_atoms

#: Share of the squares of the features below which the error is computed from differences.
SMALL_ERROR = 1e-4


@dataclass
class DictionaryFit:
    r"""Atoms and codes of N images of C channels: :math:`y_i \approx D z_i`, in rows ``feats ~ codes @ atoms``.

    Attributes:
        atoms (np.ndarray | torch.Tensor): Columns of D in the rows, float64 ``(K, C)``, each at most 1 long.
        codes (np.ndarray | torch.Tensor): :math:`z_i` in the rows, float64 ``(N, K)``. Both are of the kind and on the
            device of the features.
        objective (list[float]): Value of Eq. 2 after the codes and after the atoms of each iteration: it never rises.
        error (float): Its first term, :math:`\lVert Y - DZ \rVert_F^2`.
        roughness (float): :math:`\Omega(Z)`, Eq. 3; the second term is lambda times this.
        energy (float): :math:`\lVert Y \rVert_F^2`, what both are to be compared with.
        iterations (int): Pairs of half steps.
        converged (bool): Whether it stopped by itself.
        seconds (float): Wall time.
        num_unused (int): Atoms that no image uses.
        settings (dict): What it was fitted with.
        warnings (list[str]): What may be wrong.
    """

    atoms: Array
    codes: Array
    objective: list[float]
    error: float
    roughness: float
    energy: float
    iterations: int
    converged: bool
    seconds: float
    num_unused: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Plain numbers for logs."""
        return dict(objective=self.objective[-1], first_objective=self.objective[0], error_share=self.error /
                    self.energy, roughness_share=self.roughness / self.energy, iterations=self.iterations,
                    converged=self.converged, seconds=self.seconds, num_unused=self.num_unused, **self.settings)


def fit_dictionary(feats: Array,
                   graph: Optional[csr_matrix],
                   num_atoms: int,
                   weight: float,
                   *,
                   max_iter: int = 100,
                   tol: float = 1e-4,
                   init: str = 'svd',
                   seed: int = 0,
                   backend: str = 'auto') -> DictionaryFit:
    r"""Minimise Eq. 2 of Geng et al., `Deep Transfer Learning for Person Re-identification
    <https://arxiv.org/abs/1611.05244>`_, over atoms and codes in turn.

    .. math:: \min_{D, Z} \lVert Y - DZ \rVert_F^2 + \lambda \sum_{ij} W_{ij} \lVert z_i - z_j \rVert_2^2
              \quad \text{s.t.} \quad \lVert d_k \rVert_2^2 \le 1

    The sum runs over ordered pairs, so each edge counts twice. Features are used as they are, without their mean being
    taken off. A factor on them changes nothing but the scale of the codes and of the objective: the same lambda means
    the same on features of any scale. Each half step solves its part (:func:`solve_codes`, :func:`solve_atoms`), and
    the atoms are followed by the best exchange between both (:func:`balance`), without which hundreds of iterations
    are needed. A step that would raise the objective, as rounding may, is left out. In float64. Atoms that no image
    uses stay as they are and are counted.

    Args:
        feats (np.ndarray | torch.Tensor): Features in the rows, ``(N, C)``, on the CPU or a CUDA device.
        graph (csr_matrix, optional): W, symmetric ``(N, N)``. None: no second term.
        num_atoms (int): K, at most N.
        weight (float): Lambda, at least 0.
        max_iter (int): Largest number of pairs of half steps. Defaults to 100.
        tol (float): Stops when a pair of half steps takes off no more than this share of the objective. Defaults to
            1e-4.
        init (str): See :func:`first_atoms`. Defaults to ``'svd'``.
        seed (int): Of what is drawn at the start. Defaults to 0.
        backend (str): See :class:`GraphSystem`. Defaults to ``'auto'``.

    Raises:
        ValueError: If a setting is out of its range, there are fewer images than atoms, the graph does not fit, or a
            feature is not finite; if all features are zero, or all are equal.
    """
    begin, is_tensor = time.perf_counter(), isinstance(feats, torch.Tensor)
    feats = as_matrix(feats, 'feats')  # a tensor on the CPU becomes an array
    energy = float(square_norms(feats, 'feats').sum(dtype=np.float64 if isinstance(feats, np.ndarray)
                                                    else torch.float64))
    check_settings(num_atoms, weight, max_iter, tol, init, seed, backend)
    if num_atoms > len(feats):
        raise ValueError(f'there are fewer images than atoms: {len(feats):,} images, num_atoms={num_atoms:,}; choose '
                         'fewer atoms')
    check_spread(feats)
    tensor = as_tensor(feats)
    # At a mean square length of 1 no square overflows or vanishes, whatever the scale of the features.
    scale = (energy / len(feats))**.5
    values = tensor.double() / scale
    system = GraphSystem(None if graph is None else check_graph(graph, len(feats)), float(weight), values.device,
                         backend)
    state = _Alternation(values, system, first_atoms(values, num_atoms, init, seed))
    iterations, converged = 0, False
    while iterations < max_iter and not converged:
        before = state.objective[-1] if state.objective else np.inf
        state.step()
        iterations += 1
        converged = before - state.objective[-1] <= tol * state.objective[-1] + 1e-14 * len(feats)
    usage = state.codes.square().sum(0)
    unused = int((usage <= UNUSED * usage.max()).sum())
    settings = dict(num_atoms=int(num_atoms), weight=float(weight), init=init, seed=int(seed), max_iter=int(max_iter),
                    tol=float(tol), degree=0. if graph is None else float(graph.sum() / len(feats)))
    square = scale * scale
    atoms, codes = state.atoms, state.codes * scale
    return DictionaryFit(
        *((atoms, codes) if is_tensor else (atoms.numpy(), codes.numpy())),
        objective=[value * square for value in state.objective], error=state.error() * square,
        roughness=system.roughness(state.codes) * square, energy=energy, iterations=iterations, converged=converged,
        seconds=time.perf_counter() - begin, num_unused=unused, settings=settings,
        warnings=_warnings(state, feats.shape[1], num_atoms, max_iter, tol, converged, unused))


class _Alternation:
    """Atoms, codes and the products of both with the features, after each half step."""

    def __init__(self, feats: torch.Tensor, system: GraphSystem, atoms: torch.Tensor) -> None:
        self.feats, self.system, self.atoms = feats, system, atoms
        self.energy = float(feats.square().sum())
        self.codes: Optional[torch.Tensor] = None
        self.products = self.squares = torch.empty(0)  # Z Y' (K, C) and Z Z' (K, K)
        self.rough = self.residual = 0.
        self.objective: list[float] = []

    def step(self) -> None:
        """Codes, then atoms; a half step that does not lower the objective is taken back."""
        self._accept(self._code_step)
        self._accept(self._atom_step)
        self._accept(self._balance)
        self.objective.pop(-2)  # the exchange belongs to the atoms

    def _accept(self, part: Callable[[], None]) -> None:
        names = 'atoms', 'codes', 'products', 'squares', 'rough'
        kept = {name: getattr(self, name) for name in names}
        part()
        value = self.error() + self.rough
        if self.objective and not value <= self.objective[-1]:
            vars(self).update(kept)
            value = self.objective[-1]
        self.objective.append(value)

    def _code_step(self) -> None:
        self.codes = solve_codes(self.atoms, self.feats, self.system, self.codes)
        self.residual = max(self.residual, self.system.residual)
        self.products, self.squares = self.codes.T @ self.feats, self.codes.T @ self.codes
        self.rough = self.system.weight * self.system.roughness(self.codes)

    def _atom_step(self) -> None:
        self.atoms = solve_atoms(self.products, self.squares, self.atoms)

    def _balance(self) -> None:
        found = balance(self.atoms, self.system.pulls(self.codes))
        if found is not None:
            forth, back = found
            self.atoms, self.codes = bounded(forth.T @ self.atoms), self.codes @ back.T
            self.products, self.squares = back @ self.products, back @ self.squares @ back.T
            self.rough = self.system.weight * self.system.roughness(self.codes)

    def error(self) -> float:
        """The squared error: from products that are at hand, or, where that is all rounding, from differences."""
        value = self.energy + float(((self.squares @ self.atoms - 2 * self.products) * self.atoms).sum())
        if value > SMALL_ERROR * self.energy:
            return value
        return sum(float((rows - codes @ self.atoms).square().sum())
                   for rows, codes in zip(self.feats.split(4096), self.codes.split(4096)))


def check_settings(num_atoms: int, weight: float, max_iter: int, tol: float, init: str, seed: int,
                   backend: str) -> None:
    """Check what does not depend on the features.

    Raises:
        ValueError: If something is out of its range.
    """
    for name, value in (('num_atoms', num_atoms), ('max_iter', max_iter)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f'{name} must be an integer of at least 1, got {value!r}')
    if not _is_number(weight) or not 0 <= weight < float('inf'):
        raise ValueError('weight (lambda, of the graph) must be a number of at least 0; 0 leaves the graph out, and '
                         f'got {weight!r}')
    if not _is_number(tol) or not 0 <= tol < float('inf'):
        raise ValueError(f'tol must be a number of at least 0, got {tol!r}')
    if init not in INITS:
        raise ValueError(f'init must be one of {", ".join(INITS)}, got {init!r}')
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f'seed must be an integer from 0 to 2**32 - 1, got {seed!r}')
    if backend not in BACKENDS:
        raise ValueError(f'backend must be one of {", ".join(BACKENDS)}, got {backend!r}')


def _warnings(state: _Alternation, channels: int, num_atoms: int, max_iter: int, tol: float, converged: bool,
              unused: int) -> list[str]:
    found = []
    if num_atoms > channels:
        found.append(f'{num_atoms} atoms for features of {channels} channels: more of them than directions, so part '
                     'of every code is arbitrary and kept at 0; choose fewer atoms')
    if unused:
        found.append(f'{unused} of {num_atoms} atoms are used by no image: choose fewer')
    if not converged:
        found.append(f'the dictionary was stopped after max_iter={max_iter} iterations, and the last one still took '
                     f'off more than tol={tol:g} of the objective')
    if state.residual > 100 * RESIDUAL:
        found.append(f'a linear system was solved to {state.residual:.1g} of its right-hand side only: the weight of '
                     'the graph is very large for atoms that are nearly alike; choose a smaller weight or fewer atoms')
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
