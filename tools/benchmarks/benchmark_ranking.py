"""Time and memory of the ranking evaluation beside the bare product of the feature matrices.

    python tools/benchmarks/benchmark_ranking.py

The default sizes are those of Market-1501. Both sides run in turn in one process; medians and ratios are printed. The
bound to keep: a whole call takes at most 1.5 times the fastest bare product and 200 MB in addition to the features.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch

from mmreid.evaluation import PROTOCOLS, evaluate_ranking
from mmreid.utils.distance import DISTANCES


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description='Time the ranking evaluation beside the bare matrix product')
    parser.add_argument('--queries', type=int, default=3368)
    parser.add_argument('--gallery', type=int, default=19732)
    parser.add_argument('--channels', type=int, default=2048)
    parser.add_argument('--ids', type=int, default=750)
    parser.add_argument('--cameras', type=int, default=6)
    parser.add_argument('--protocol', choices=list(PROTOCOLS), default='market1501')
    parser.add_argument('--metric', choices=DISTANCES, default='euclidean')
    parser.add_argument('--chunk-size', type=int, help='queries in a block; the default is chosen by size')
    parser.add_argument('--num-threads', type=int, help='threads that count ranks; the default is chosen by size')
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--repeats', type=int, default=5)
    return parser.parse_args()


def make_inputs(args: argparse.Namespace) -> tuple:
    """Random unit features, and identities and cameras drawn uniformly, in the order ``evaluate_ranking`` takes."""
    rng = np.random.default_rng(0)
    feats = []
    for rows in (args.queries, args.gallery):
        values = rng.standard_normal((rows, args.channels), dtype=np.float32)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        feats.append(values if args.device == 'cpu' else torch.from_numpy(values).to(args.device))
    pids = [rng.integers(1, args.ids + 1, rows) for rows in (args.queries, args.gallery)]
    camids = [rng.integers(1, args.cameras + 1, rows) for rows in (args.queries, args.gallery)]
    return *feats, *pids, *camids


def seconds(function: Callable[[], Any], device: str) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function()
    if device != 'cpu':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_extra_bytes(function: Callable[[], Any], device: str) -> Optional[int]:
    """Largest growth of the memory in use during one call; None where the system does not tell."""
    if device != 'cpu':
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        function()
        return torch.cuda.max_memory_allocated() - before
    try:
        Path('/proc/self/clear_refs').write_text('5')  # resets the high-water mark of the resident set
    except OSError:
        return None
    before = _status('VmRSS')
    function()
    return _status('VmHWM') - before


def _status(key: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f'{key}:'))


def device_name(device: str) -> str:
    """Name of the processor or of the accelerator."""
    if device != 'cpu':
        return torch.cuda.get_device_name()
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return f'{names[0]} x {len(names)}' if names else platform.processor()


def blas_name() -> str:
    """BLAS that numpy was built with."""
    try:
        blas = np.show_config(mode='dicts')['Build Dependencies']['blas']
        return f'{blas["name"]} {blas["version"]}'
    except (TypeError, KeyError):
        return 'unknown BLAS'


def main() -> None:
    """Measure and print."""
    args = parse_args()
    inputs = make_inputs(args)
    query, gallery = inputs[:2]
    products = {}
    if args.device == 'cpu':
        torch_query, torch_gallery = torch.from_numpy(query), torch.from_numpy(gallery)
        products['numpy'] = lambda: query @ gallery.T
        products['torch'] = lambda: torch_query @ torch_gallery.T
    else:
        products['torch'] = lambda: query @ gallery.T
    results = {}

    def whole_call() -> None:
        results.update(evaluate_ranking(*inputs, protocol=args.protocol, metric=args.metric,
                                        chunk_size=args.chunk_size, num_threads=args.num_threads))

    query[:64] @ gallery[:64].T  # work buffers of the BLAS, which the bare product needs too
    memory = peak_extra_bytes(whole_call, args.device)
    # All sides in turn, so that what else the machine does hits them alike; the first round warms up.
    functions = {**products, 'whole call': whole_call}
    times = {name: [] for name in functions}
    for _ in range(args.repeats + 1):
        for name, function in functions.items():
            times[name].append(seconds(function, args.device))
    times = {name: values[1:] for name, values in times.items()}

    print(f'{device_name(args.device)}; numpy {np.__version__} ({blas_name()}), torch {torch.__version__} '
          f'({torch.get_num_threads()} threads), Python {platform.python_version()}')
    print(f'{args.queries} queries x {args.gallery} gallery x {args.channels} channels float32, {args.ids} ids, '
          f'{args.cameras} cameras, {args.protocol}, {args.metric}, medians of {args.repeats}')
    print(', '.join(f'{key} {value:.4g}' for key, value in results.items()))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        label = name if name not in products else f'bare product, {name}'
        print(f'{label:20s} {medians[name]:8.3f} s  (from {min(values):.3f} to {max(values):.3f})')
    fastest = min(products, key=medians.get)
    print(f'whole call / fastest bare product ({fastest}): {medians["whole call"] / medians[fastest]:.2f}')
    print(f'peak extra memory of the whole call: {"n/a" if memory is None else f"{memory / 1e6:.0f} MB"}')


if __name__ == '__main__':
    main()
