"""Time and memory of labelling by self-paced k-means beside scikit-learn's k-means alone.

    python tools/benchmarks/bench_pseudo_labels.py                             # sizes of Market-1501
    python tools/benchmarks/bench_pseudo_labels.py --backend torch             # Lloyd's algorithm in torch
    python tools/benchmarks/bench_pseudo_labels.py --device cuda
    python tools/benchmarks/bench_pseudo_labels.py --density                   # DensityClusters, too

All sides run in turn in one process, with the same seed, so scikit-learn makes the same iterations on both sides;
medians, ratios and what each side found are printed. On a CUDA device scikit-learn still runs on the CPU.
"""

import argparse
import platform
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.cluster import KMeans

from mmreid.pseudo_labels import DensityClusters, PseudoLabels, SelfPacedKMeans, label_quality
from mmreid.pseudo_labels.kmeans import BACKENDS
from mmreid.utils.memory import peak_extra_bytes, seconds


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description="Time self-paced k-means beside scikit-learn's k-means alone")
    parser.add_argument('--images', type=int, default=12936)
    parser.add_argument('--channels', type=int, default=2048)
    parser.add_argument('--ids', type=int, default=751)
    parser.add_argument('--spread', type=float, default=.6, help='noise around the centre of an identity')
    parser.add_argument('--clusters', type=int, default=750)
    parser.add_argument('--threshold', type=float, default=.85)
    parser.add_argument('--select', choices=('own', 'any'), default='own')
    parser.add_argument('--exemplar', choices=('own', 'global'), default='own')
    parser.add_argument('--max-iter', type=int, default=300)
    parser.add_argument('--backend', choices=BACKENDS, default='auto', help='k-means of the labeller')
    parser.add_argument('--density', action='store_true', help='measure DensityClusters, too')
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--repeats', type=int, default=3)
    return parser.parse_args()


def make_features(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Features as behind a ReLU, around a centre for each identity, and the identities."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((args.ids, args.channels), dtype=np.float32)
    pids = rng.integers(0, args.ids, args.images)
    feats = rng.standard_normal((args.images, args.channels), dtype=np.float32)
    feats *= args.spread
    feats += centres[pids]
    return np.maximum(feats, 0, out=feats), pids


def sides(args: argparse.Namespace, feats: np.ndarray) -> dict[str, tuple[Callable[[], Any], str]]:
    """What is measured: functions, and where their memory lies."""
    given = torch.from_numpy(feats).to(args.device) if args.device != 'cpu' else feats
    labeller = SelfPacedKMeans(args.clusters, args.threshold, args.max_iter, args.exemplar, args.select,
                               backend=args.backend)
    plain = KMeans(args.clusters, n_init=1, max_iter=args.max_iter, random_state=0)
    found = {'scikit-learn alone': (lambda: plain.fit(feats), 'cpu'),
             f'SelfPacedKMeans, {args.backend}': (lambda: labeller(given), args.device)}
    if args.density:
        found['DensityClusters'] = (lambda: DensityClusters()(given), args.device)
    return found


def what_was_found(result: Any, pids: np.ndarray) -> str:
    """Clusters, iterations, inertia and quality in a line."""
    if not isinstance(result, PseudoLabels):
        return f'{result.n_iter_} iterations, inertia {result.inertia_:.6g}'
    info, quality = result.info, label_quality(result.labels, result.mask, pids)
    steps = f'{info["iterations"]} iterations, inertia {info["inertia"]:.6g}, ' if 'iterations' in info else ''
    return (f'{steps}{info["num_clusters"]} clusters, {info["fraction"]:.1%} selected, purity {quality["purity"]:.3f}, '
            f'NMI {quality["nmi"]:.3f}')


def main() -> None:
    """Measure and print."""
    args = parse_args()
    where = platform.processor() or platform.machine()
    if args.device != 'cpu':
        where = torch.cuda.get_device_name(args.device)
    print(f'{where}; numpy {np.__version__}, scikit-learn {sklearn.__version__}, torch {torch.__version__} '
          f'({torch.get_num_threads()} threads), Python {platform.python_version()}')
    print(f'{args.images} images x {args.channels} channels float32, K {args.clusters}, at most {args.max_iter} '
          f'iterations, medians of {args.repeats}')
    feats, pids = make_features(args)
    functions, results, memory = sides(args, feats), {}, {}
    for name, (function, device) in functions.items():  # also warms up

        def call(name: str = name, function: Callable[[], Any] = function) -> None:
            results[name] = function()

        memory[name] = peak_extra_bytes(call, device)
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(args.repeats):
        for name, (function, device) in functions.items():
            times[name].append(seconds(function, device))
    medians = {name: statistics.median(values) for name, values in times.items()}
    alone = medians['scikit-learn alone']
    for name, values in times.items():
        extra = 'n/a' if memory[name] is None else f'{memory[name] / 1e6:.0f} MB'
        print(f'{name:24s} {medians[name]:8.3f} s  (from {min(values):.3f} to {max(values):.3f}), '
              f'{medians[name] / alone:.2f} x scikit-learn alone, peak extra memory {extra}')
        print(f'{"":24s} {what_was_found(results[name], pids)}')
    print(f'features: {feats.nbytes / 1e6:.0f} MB')


if __name__ == '__main__':
    main()
