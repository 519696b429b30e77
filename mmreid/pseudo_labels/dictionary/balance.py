"""The best pair of atoms and codes for a product of both, in closed form."""

from typing import Optional

import numpy as np
import torch

#: Smallest square of a singular value of the atoms, as a share of the largest, below which nothing is exchanged.
DEPENDENT = 1e-8
#: Smallest eigenvalue, as a share of the largest, that the exchange between atoms and codes tells from 0: what all
#: neighbours agree in costs nothing, and its codes would be infinitely large.
SMOOTH = 1e-4


def balance(atoms: torch.Tensor, pulls: torch.Tensor) -> Optional[tuple[torch.Tensor, torch.Tensor]]:
    r"""A matrix T that makes :math:`D T` the atoms and :math:`T^{-1} Z` the codes: the same product, and the least
    :math:`\mathrm{tr}(Z L Z^\top)` that atoms of length 1 allow.

    Solving for codes and atoms in turn is slow to find out how large each direction's atoms are best, since either is
    given when the other is changed. With :math:`P = D^\top D` and :math:`Q = Z L Z^\top`, the least
    :math:`\mathrm{tr}((T T^\top)^{-1} Q)` with :math:`\mathrm{tr}(P\, T T^\top) = K` is at
    :math:`T T^\top \propto P^{-1/2} (P^{1/2} Q P^{1/2})^{1/2} P^{-1/2}`, and a rotation, which leaves both traces as
    they are, makes all atoms equally long.

    Args:
        atoms (torch.Tensor): Float64 ``(K, C)``, in the rows.
        pulls (torch.Tensor): Q, float64 ``(K, K)``.

    Returns:
        tuple[torch.Tensor, torch.Tensor]: T and its inverse, ``(K, K)``; None where atoms depend on each other or
        nothing pulls.
    """
    size = len(atoms)
    values, vectors = torch.linalg.eigh(atoms @ atoms.T)
    if not values[0] > DEPENDENT * values[-1] or not pulls.diagonal().sum() > 0:
        return None
    root = (vectors * values.sqrt()) @ vectors.T
    inverse_root = (vectors / values.sqrt()) @ vectors.T
    squares, turn = torch.linalg.eigh(root @ pulls @ root)
    # The sign of an eigenvector is any: the same one on every machine.
    turn = turn * turn.gather(0, turn.abs().argmax(0, keepdim=True)).sign()
    middle = squares.clamp(min=SMOOTH**2 * float(squares[-1])).sqrt()  # of (P^1/2 Q P^1/2)^1/2
    middle = middle * (size / middle.sum())
    rotation = equal_diagonal(middle.cpu().numpy()).to(atoms)
    forth = inverse_root @ (turn * middle.sqrt()) @ rotation
    back = rotation.T @ (turn / middle.sqrt()).T @ root
    return forth, back


def equal_diagonal(values: np.ndarray) -> torch.Tensor:
    """An orthogonal V such that the diagonal of ``V' diag(values) V`` is constant (Schur and Horn): K - 1 rotations of
    two columns, each of which makes one entry the mean."""
    size, mean = len(values), values.mean()
    matrix, turn = np.diag(values), np.eye(size)
    order = list(range(size))
    while len(order) > 1:
        diagonal = matrix[order, order]
        low, high = order[int(diagonal.argmin())], order[int(diagonal.argmax())]
        a, b, c = matrix[low, low] - mean, matrix[high, high] - mean, matrix[low, high]
        # The tangent t with (1, t) diag (1, t)' = 0, of both the smaller: a + 2 c t + b t^2 = 0.
        if b <= 0 or a >= 0:
            break
        tangent = -a / (c + np.copysign(np.sqrt(max(0., c * c - a * b)), c))
        cosine = 1 / np.hypot(1, tangent)
        pair, givens = [low, high], cosine * np.array([[1., -tangent], [tangent, 1.]])
        matrix[:, pair] = matrix[:, pair] @ givens
        matrix[pair] = givens.T @ matrix[pair]
        turn[:, pair] = turn[:, pair] @ givens
        order.remove(low)
    return torch.from_numpy(turn)
