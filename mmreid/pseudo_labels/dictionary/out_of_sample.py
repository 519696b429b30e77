"""Codes of images that a dictionary was not fitted on."""

from typing import Any, Optional

import torch
from scipy.sparse import csr_matrix

from mmreid.utils.features import ROWS_AT_A_TIME, Array, as_matrix, as_tensor, full_float32_matmul, square_norms

from .codes import GraphSystem, directions_of, solve_codes
from .graph import check_graph


def codes_of(atoms: Array, feats: Array, graph: Optional[csr_matrix] = None, weight: float = 0.,
             degree: float = 0.) -> Array:
    r"""Codes of features under given atoms.

    Without a graph, a linear map: :math:`z = \arg\min_z \lVert y - Dz \rVert^2 + 2 \lambda d \lVert z \rVert^2`. This
    is Eq. 2 for one more image whose neighbours are not known: d links, the mean of the training images, each to the
    mean code of these, which shifts all codes alike and so changes no distance (it is left out). The code of an image
    depends on no other image, as a feature should. The plain least-squares code, :math:`d = 0`, is of no use where
    lambda is not: directions that the graph holds down in training are those of the smallest singular values of D, by
    which it divides.

    With a graph over these very images, Eq. 2 with D fixed: transductive, since which images are tested together then
    changes each of their codes.

    Args:
        atoms (np.ndarray | torch.Tensor): Float ``(K, C)``.
        feats (np.ndarray | torch.Tensor): Features ``(N, C)``, on the CPU or a CUDA device.
        graph (csr_matrix, optional): W over the N images, symmetric ``(N, N)``. Defaults to None.
        weight (float): Lambda. Defaults to 0.
        degree (float): d, mean sum of the rows of W in training (``settings['degree']`` of a fit), without a graph.
            Defaults to 0.

    Returns:
        np.ndarray | torch.Tensor: Codes ``(N, K)``, of the kind, the type and on the device of the features; computed
        in float64.

    Raises:
        ValueError: If the features have another width than the atoms, or are not finite.

    Example:
        >>> import numpy as np
        >>> codes_of(np.array([[.5, 0.]]), np.array([[3., 4.]]))
        array([[6.]])
    """
    is_tensor = isinstance(feats, torch.Tensor)
    feats = as_matrix(feats, 'feats')  # a tensor on the CPU becomes an array
    square_norms(feats, 'feats')
    tensor = as_tensor(feats)
    basis = as_tensor(as_matrix(atoms, 'atoms')).to(tensor.device, torch.float64)
    check_width(basis, tensor, 'the dictionary')
    if graph is None:
        squares, vectors = directions_of(basis)
        inverse = basis.T @ (vectors / (squares + 2 * weight * degree)) @ vectors.T
        with full_float32_matmul():
            found = torch.cat([(rows.double() @ inverse).to(tensor.dtype) for rows in tensor.split(ROWS_AT_A_TIME)])
    else:
        system = GraphSystem(check_graph(graph, len(tensor)), weight, tensor.device, accuracy=1e-11)
        found = solve_codes(basis, tensor.double(), system).to(tensor.dtype)
    return found if is_tensor else found.numpy()


def check_width(atoms: Any, feats: Any, name: str) -> None:
    """Compare channels.

    Raises:
        ValueError: If they differ.
    """
    if atoms.shape[1] != feats.shape[1]:
        raise ValueError(f'{name} is for features of {atoms.shape[1]} channels, and these have {feats.shape[1]}: it '
                         'was fitted on features of another model or another layer; fit one on the features of this '
                         'model')
