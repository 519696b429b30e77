"""Time of a graph-regularised dictionary, and of its codes beside one factorisation for each direction.

    python tools/benchmarks/bench_dictionary.py                      # two cameras, 2,000 images
    python tools/benchmarks/bench_dictionary.py --images 12936 --channels 1024 --atoms 256 --cameras 6
    python tools/benchmarks/bench_dictionary.py --device cuda

With the same atoms, codes are solved by GraphSystem (eigenvectors of small components, conjugate gradients in large
ones) and by SciPy's sparse LU, once for each direction of the atoms; both are compared with each other. Then the whole
fit is timed. All in one process; medians are printed. The factorisation needs much time and memory where the graph
fills in (many images, more than two cameras); --without-lu leaves it out.
"""

import argparse
import platform
import statistics
from typing import Any

import numpy as np
import scipy
import torch
from scipy.sparse import identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from mmreid.pseudo_labels.dictionary import GraphSystem, cross_camera_graph, fit_dictionary, solve_codes
from mmreid.pseudo_labels.dictionary.codes import directions_of
from mmreid.pseudo_labels.dictionary.graph import laplacian_of
from mmreid.pseudo_labels.dictionary.start import first_atoms
from mmreid.utils.memory import peak_extra_bytes, seconds


def parse_args(argv=None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description='Time a graph-regularised dictionary')
    parser.add_argument('--images', type=int, default=2000)
    parser.add_argument('--channels', type=int, default=512)
    parser.add_argument('--atoms', type=int, default=128)
    parser.add_argument('--cameras', type=int, default=2)
    parser.add_argument('--ids', type=int, default=200)
    parser.add_argument('--spread', type=float, default=.6, help='noise around the centre of an identity')
    parser.add_argument('--weight', type=float, default=1.)
    parser.add_argument('--max-iter', type=int, default=20)
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--without-lu', action='store_true', help='leave the factorisations out')
    parser.add_argument('--repeats', type=int, default=3)
    return parser.parse_args(argv)


def make_features(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Features as behind a ReLU, around a centre for each identity and another place for each camera, and cameras."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((args.ids, args.channels))
    camids = rng.integers(0, args.cameras, args.images)
    feats = centres[rng.integers(0, args.ids, args.images)] + .5 * rng.standard_normal(
        (args.cameras, args.channels))[camids] + args.spread * rng.standard_normal((args.images, args.channels))
    return np.maximum(feats, 0).astype(np.float32), camids


def by_factorisation(graph: Any, weight: float, atoms: np.ndarray, feats: np.ndarray) -> np.ndarray:
    """Codes by one sparse LU for each direction."""
    squares, vectors = (values.numpy() for values in directions_of(torch.from_numpy(atoms)))
    right, system = feats @ (atoms.T @ vectors), 2 * weight * laplacian_of(graph)
    found = [splu((system + value * identity(len(feats))).tocsc(), permc_spec='MMD_AT_PLUS_A',
                  options=dict(SymmetricMode=True)).solve(right[:, k]) for k, value in enumerate(squares)]
    return np.stack(found, axis=1) @ vectors.T


def timed(function: Any, repeats: int, device: str) -> tuple[Any, str]:
    """Result and median of a call."""
    kept: list[Any] = [None]

    def call() -> None:
        kept[0] = function()

    extra = peak_extra_bytes(call, device)
    times = [seconds(call, device) for _ in range(repeats)]
    memory = 'n/a' if extra is None else f'{extra / 1e6:.0f} MB'
    return kept[0], (f'{statistics.median(times):8.3f} s  (from {min(times):.3f} to {max(times):.3f}), peak extra '
                     f'memory {memory}')


def main(argv=None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    where = platform.processor() or platform.machine()
    if args.device != 'cpu':
        where = torch.cuda.get_device_name(args.device)
    print(f'{where}; numpy {np.__version__}, scipy {scipy.__version__}, torch {torch.__version__} '
          f'({torch.get_num_threads()} threads), Python {platform.python_version()}')
    feats, camids = make_features(args)
    graph = cross_camera_graph(feats, camids)
    sizes = np.bincount(connected_components(graph, directed=False)[1])
    print(f'{args.images} images x {args.channels} channels, {args.cameras} cameras, {args.atoms} atoms, lambda '
          f'{args.weight:g}; graph: {graph.nnz // 2} edges, {len(sizes)} components of {sizes.min()} to {sizes.max()} '
          f'images; medians of {args.repeats}')
    given = torch.from_numpy(feats).to(args.device)
    values = given.double() / given.double().square().sum(1).mean().sqrt()
    atoms = first_atoms(values, args.atoms, 'random', 0)
    system, prepared = timed(lambda: GraphSystem(graph, args.weight, values.device, accuracy=1e-11), args.repeats,
                             args.device)
    codes, solved = timed(lambda: solve_codes(atoms, values, system), args.repeats, args.device)
    print(f'{"once: eigenvectors":28s} {prepared}')
    print(f'{"codes, GraphSystem":28s} {solved}; {system.steps} steps')
    if not args.without_lu:
        expected, slow = timed(lambda: by_factorisation(graph, args.weight, atoms.cpu().numpy(),
                                                        values.cpu().numpy()), 1, 'cpu')
        gap = np.abs(codes.cpu().numpy() - expected).max() / np.abs(expected).max()
        print(f'{"codes, one LU a direction":28s} {slow}; largest difference {gap:.1e}')
    fit, whole = timed(lambda: fit_dictionary(given if args.device != 'cpu' else feats, graph, args.atoms, args.weight,
                                              max_iter=args.max_iter), args.repeats, args.device)
    print(f'{"fit":28s} {whole}; {fit.iterations} iterations, objective {fit.objective[0]:.6g} -> '
          f'{fit.objective[-1]:.6g}, {"converged" if fit.converged else "not converged"}')


if __name__ == '__main__':
    main()
