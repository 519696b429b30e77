"""Time and memory of the evaluation beside the bare products of the feature matrices.

    python tools/benchmarks/bench_evaluation.py ranking                  # sizes of Market-1501
    python tools/benchmarks/bench_evaluation.py rerank
    python tools/benchmarks/bench_evaluation.py scale --plot scale.png   # time against size
    python tools/benchmarks/bench_evaluation.py rerank --queries 11659 --gallery 82161 --ids 3060 --repeats 1   # MSMT17

All sides run in turn in one process; medians and ratios are printed. Bounds to keep on the sizes of Market-1501:
ranking takes at most 1.5 times the faster bare product and 200 MB in addition to the features, re-ranking at most 1.5
times the bare product of all pairs and 1 GB.
"""

import argparse
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmreid.evaluation import PROTOCOLS, evaluate_ranking, k_reciprocal_rerank
from mmreid.utils.distance import DISTANCES
from mmreid.utils.k_reciprocal import KReciprocalDistances
from mmreid.utils.memory import peak_extra_bytes, seconds

#: Rows of a product of all pairs that are computed at a time; its result is not kept.
PRODUCT_ROWS = 2048
#: Gallery sizes of the part "scale".
SCALE = (2_500, 5_000, 10_000, 20_000, 40_000)


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description='Time the evaluation beside the bare matrix product')
    parser.add_argument('part', choices=('ranking', 'rerank', 'scale'))
    parser.add_argument('--queries', type=int, default=3368)
    parser.add_argument('--gallery', type=int, default=19732)
    parser.add_argument('--channels', type=int, default=2048)
    parser.add_argument('--ids', type=int, default=750)
    parser.add_argument('--cameras', type=int, default=6)
    parser.add_argument('--spread', type=float, default=2.5, help='noise around the centre of an identity')
    parser.add_argument('--protocol', choices=list(PROTOCOLS), default='market1501')
    parser.add_argument('--metric', choices=DISTANCES, default='euclidean')
    parser.add_argument('--chunk-size', type=int, help='queries in a block; the default is chosen by size')
    parser.add_argument('--num-threads', type=int, help='threads that count ranks; the default is chosen by size')
    parser.add_argument('--blocks', action='store_true', help='re-ranking: use the blocks, never the whole result')
    parser.add_argument('--backend', default='builtin', help='search for neighbours: builtin or faiss')
    parser.add_argument('--memory-map', metavar='FILE', help='keep the gallery in this file and map it')
    parser.add_argument('--no-product', action='store_true', help='leave the bare products out')
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--plot', help='scale: picture to write')
    return parser.parse_args()


def make_inputs(args: argparse.Namespace, gallery: int) -> tuple:
    """Unit features around a centre for each identity, and labels, in the order ``evaluate_ranking`` takes."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((args.ids, args.channels), dtype=np.float32)
    pids = [rng.integers(1, args.ids + 1, rows) for rows in (args.queries, gallery)]
    feats = [np.empty((args.queries, args.channels), np.float32),
             np.empty((gallery, args.channels), np.float32) if args.memory_map is None else
             np.memmap(args.memory_map, np.float32, 'w+', shape=(gallery, args.channels))]
    for values, people in zip(feats, pids):
        for start in range(0, len(values), PRODUCT_ROWS):
            rows = values[start:start + PRODUCT_ROWS]
            rows[:] = rng.standard_normal(rows.shape, dtype=np.float32) * args.spread
            rows += centres[people[start:start + PRODUCT_ROWS] - 1]
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if args.memory_map is not None:
        feats[1].flush()
        feats[1] = np.memmap(args.memory_map, np.float32, 'r', shape=(gallery, args.channels))
    if args.device != 'cpu':
        feats = [torch.from_numpy(values).to(args.device) for values in feats]
    return *feats, *pids, *(rng.integers(1, args.cameras + 1, rows) for rows in (args.queries, gallery))


def bare_products(left: Any, right: Any) -> dict[str, Callable[[], None]]:
    """The product of two matrices by each library, block by block into one buffer."""

    def repeat(multiply: Callable, x: Any, y: Any, out: Any) -> Callable[[], None]:
        def run() -> None:
            for start in range(0, len(x), PRODUCT_ROWS):
                rows = x[start:start + PRODUCT_ROWS]
                multiply(rows, y.T, out=out[:len(rows)])
        return run

    if isinstance(left, torch.Tensor):
        return {'torch': repeat(torch.matmul, left, right, left.new_empty(PRODUCT_ROWS, len(right)))}
    tensors = torch.from_numpy(left), torch.from_numpy(right)
    return {'numpy': repeat(np.matmul, left, right, np.empty((PRODUCT_ROWS, len(right)), left.dtype)),
            'torch': repeat(torch.matmul, *tensors, torch.empty(PRODUCT_ROWS, len(right), dtype=tensors[0].dtype))}


def ranking(args: argparse.Namespace, inputs: tuple) -> tuple[dict, Callable[[], Any]]:
    """Bare products and the whole call of an evaluation."""

    def call() -> dict:
        return evaluate_ranking(*inputs, protocol=args.protocol, metric=args.metric, chunk_size=args.chunk_size,
                                num_threads=args.num_threads)

    return {} if args.no_product else bare_products(inputs[0], inputs[1]), call


def rerank(args: argparse.Namespace, inputs: tuple) -> tuple[dict, Callable[[], Any]]:
    """Bare products of all pairs and the whole call of re-ranking."""
    query, gallery = inputs[:2]

    def call() -> dict:
        if not args.blocks:
            return dict(shape=k_reciprocal_rerank(query, gallery, backend=args.backend).shape)
        distances = KReciprocalDistances(query, gallery, backend=args.backend)
        step = distances.rows_at_a_time
        for start in range(0, len(query), step):
            distances(start, min(start + step, len(query)))
        return dict(rows=len(query))

    if args.no_product:
        return {}, call
    both = torch.cat([query, gallery]) if isinstance(query, torch.Tensor) else np.concatenate([query, gallery])
    return bare_products(both, both), call


def measure(args: argparse.Namespace, part: Callable, gallery: int) -> dict[str, float]:
    """Print both sides for one size; returns the medians."""
    products, call = part(args, make_inputs(args, gallery))
    results = {}
    memory = peak_extra_bytes(lambda: results.update(call()), args.device)
    # All sides in turn, so that what else the machine does hits them alike; the first round warms up.
    functions = {**products, 'whole call': call}
    times = {name: [] for name in functions}
    for _ in range(args.repeats + (args.repeats > 1)):
        for name, function in functions.items():
            times[name].append(seconds(function, args.device))
    times = {name: values[len(values) > 1:] for name, values in times.items()}
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f'{part.__name__}: {args.queries} queries x {gallery} gallery x {args.channels} channels float32, '
          f'{args.ids} ids, {args.protocol}, {args.metric}, medians of {args.repeats}')
    print(', '.join(f'{key} {value:.4g}' if isinstance(value, float) else f'{key} {value}'
                    for key, value in results.items()))
    for name, values in times.items():
        label = f'bare product, {name}' if name in products else name
        print(f'{label:20s} {medians[name]:8.3f} s  (from {min(values):.3f} to {max(values):.3f})')
    if products:
        fastest = min(products, key=medians.get)
        print(f'whole call / fastest bare product ({fastest}): {medians["whole call"] / medians[fastest]:.2f}')
    print(f'peak extra memory of the whole call: {"n/a" if memory is None else f"{memory / 1e6:.0f} MB"}')
    return medians


def scale(args: argparse.Namespace) -> None:
    """Time of both parts against the size of the gallery."""
    found = {part.__name__: [measure(args, part, size) for size in SCALE] for part in (ranking, rerank)}
    if args.plot is None:
        return
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(6, 4), layout='constrained')
    for name, medians in found.items():
        line, = axes.loglog(SCALE, [times['whole call'] for times in medians], marker='o', label=name)
        bare = [min((value for key, value in times.items() if key != 'whole call'), default=None) for times in medians]
        if None not in bare:
            axes.loglog(SCALE, bare, '--', color=line.get_color(), label=f'bare product of {name}')
    axes.set(xlabel='gallery images', ylabel='seconds', title=f'{args.queries} queries, {args.channels} channels')
    axes.legend()
    figure.savefig(args.plot, dpi=120)


def machine(device: str) -> str:
    """Processor or accelerator, and versions."""
    if device != 'cpu':
        name = torch.cuda.get_device_name(device)
    else:
        lines = Path('/proc/cpuinfo').read_text().splitlines() if Path('/proc/cpuinfo').exists() else []
        names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
        name = f'{names[0]} x {len(names)}' if names else platform.processor()
    try:
        blas = np.show_config(mode='dicts')['Build Dependencies']['blas']
        blas = f'{blas["name"]} {blas["version"]}'
    except (TypeError, KeyError):
        blas = 'unknown BLAS'
    return (f'{name}; numpy {np.__version__} ({blas}), torch {torch.__version__} ({torch.get_num_threads()} threads), '
            f'Python {platform.python_version()}')


def main() -> None:
    """Measure and print."""
    args = parse_args()
    print(machine(args.device))
    if args.part == 'scale':
        scale(args)
    else:
        measure(args, {'ranking': ranking, 'rerank': rerank}[args.part], args.gallery)


if __name__ == '__main__':
    main()
