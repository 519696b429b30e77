"""Atoms to start from."""

import torch

#: Ways to choose them.
INITS = ('svd', 'random', 'images')


def first_atoms(feats: torch.Tensor, num_atoms: int, init: str, seed: int) -> torch.Tensor:
    """Atoms of length 1, float64 ``(K, C)``.

    ``'svd'``: the first right singular vectors of the features (no mean is taken off), which are the optimum for
    lambda = 0; where there are more atoms than these have dimensions, the others are random. ``'random'``: directions
    drawn uniformly. ``'images'``: different images that are drawn, scaled; images of zeros are never drawn.

    Args:
        feats (torch.Tensor): Float64 ``(N, C)``, not all zero.
        num_atoms (int): K, at most N.
        init (str): See :data:`INITS`.
        seed (int): Of what is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    if init == 'random':
        return _directions(num_atoms, feats, generator)
    if init == 'svd':
        vectors = _singular_vectors(feats, num_atoms)
        return torch.cat([vectors, _directions(num_atoms - len(vectors), feats, generator)])
    rows = feats.norm(dim=1).nonzero()[:, 0]
    chosen = rows[torch.randperm(len(rows), generator=generator).to(rows.device)[:num_atoms]]
    atoms = torch.nn.functional.normalize(feats[chosen], dim=1, eps=1e-300)
    return torch.cat([atoms, _directions(num_atoms - len(atoms), feats, generator)])


def _singular_vectors(feats: torch.Tensor, number: int) -> torch.Tensor:
    """The first right singular vectors in the rows, as many as there are singular values above rounding."""
    count, channels = feats.shape
    squares, vectors = torch.linalg.eigh(feats.T @ feats if channels <= count else feats @ feats.T)
    squares, vectors = squares.flip(0), vectors.flip(1)
    kept = min(number, int((squares > 1e-12 * squares[0]).sum()))
    vectors = vectors[:, :kept]
    if channels > count:
        # Back from the images to the channels; once more orthogonal, which small singular values take away.
        vectors = torch.linalg.qr(feats.T @ vectors)[0]
    # The sign of a singular vector is free; its largest entry is made positive so that every machine agrees.
    largest = vectors.abs().argmax(0, keepdim=True)
    return (vectors * vectors.gather(0, largest).sign()).T.contiguous()


def _directions(number: int, feats: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    drawn = torch.randn(number, feats.shape[1], generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=1).to(feats.device)
