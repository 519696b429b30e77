#!/usr/bin/env python
"""Measure what PTL costs over MGN: time of a training step and peak memory, on a CPU or on CUDA.

    python tools/benchmarks/bench_mgn_ptl.py
    python tools/benchmarks/bench_mgn_ptl.py --device cpu --batch-size 4 --iters 3

Both networks are those of the released recipe, with its optimizer (Adam with AMSGrad) and its batch of 4 identities x 4
images of 384x128; the authors report 7,819 MiB for MGN and 8,819 MiB for MGN+PTL on a GPU, as the driver shows them.
Steps of both are timed in turn in one process, so that whatever else the machine does meets both; peak memory is taken
in a process of its own for each. Medians and ratios are printed.
"""

import argparse
import math
import multiprocessing
import statistics
from pathlib import Path

import torch
from training_side import MIB, TrainingSide, add_arguments, processor, resident_mib

import mmreid.models  # noqa: F401 (registers the components)
from mmreid.registry import MODELS
from mmreid.utils.config import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
SIDES = {'MGN': 'mgn/resnet50_market_released.py', 'MGN+PTL': 'ptl/mgn_resnet50_market_released.py'}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, shape=(384, 128), batch_size=16)
    parser.add_argument('--depth', type=int, default=50, choices=(50, 101), help='of the ResNet (default: 50)')
    parser.add_argument('--num-classes', type=int, default=751, help='identities (default: 751)')
    parser.add_argument('--contiguous', action='store_true', help='not in the channels-last memory format')
    return parser.parse_args()


def build(name: str, args: argparse.Namespace) -> TrainingSide:
    """One network with the released optimizer and a batch of four images a person."""
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # as in training
    cfg = load_config(str(CONFIGS / SIDES[name]))
    cfg.model.backbone.update(init_cfg=None, depth=args.depth)
    cfg.model.heads.id.head.num_classes = args.num_classes
    cfg.model.channels_last = not args.contiguous
    labels = [n // 4 % args.num_classes for n in range(args.batch_size)]
    return TrainingSide(MODELS.build(cfg.model), cfg.optim_wrapper.optimizer, labels, args)


def peak_memory(name: str, args: argparse.Namespace) -> dict[str, float]:
    """Peak memory in MiB of three training steps, by kind; run in a process of its own."""
    if args.threads:
        torch.set_num_threads(args.threads)
    before = resident_mib()
    side = build(name, args)
    for _ in range(3):
        side.train_step()
    if side.device.type == 'cuda':
        return {'tensors, MiB': torch.cuda.max_memory_allocated(side.device) / MIB,
                'allocator, MiB': torch.cuda.max_memory_reserved(side.device) / MIB}
    return {'resident set, MiB': resident_mib() - before}


def step_times(args: argparse.Namespace) -> list[list[float]]:
    """Milliseconds of the timed steps, a row for each network."""
    sides = [build(name, args) for name in SIDES]
    rounds = [[1000 * side.seconds('train_step') for side in sides] for _ in range(args.warmup + args.iters)]
    return [list(column) for column in zip(*rounds[args.warmup:], strict=True)]


def main() -> None:
    """Measure and print."""
    args = parse_args()
    with multiprocessing.get_context('spawn').Pool(1, maxtasksperchild=1) as pool:
        peaks = [pool.apply(peak_memory, (name, args)) for name in SIDES]
    if args.threads:
        torch.set_num_threads(args.threads)
    mgn, ptl = step_times(args)
    rows = {'training step, ms': (statistics.median(mgn), statistics.median(ptl),
                                  statistics.median(b / a for a, b in zip(mgn, ptl, strict=True)))}
    for kind, base in peaks[0].items():  # a tiny batch may need no more than what loading has needed
        rows[kind] = base, peaks[1][kind], peaks[1][kind] / base if base else math.nan

    print(f'ResNet-{args.depth}, batch {args.batch_size} of {args.shape[0]} x {args.shape[1]}, {args.num_classes} '
          f'identities, {"bfloat16 autocast" if args.bf16 else "float32"}, '
          f'{"contiguous" if args.contiguous else "channels-last"}, {processor(args.device)}, '
          f'torch {torch.__version__}')
    print(f'{"median of " + str(args.iters):<20} {"MGN":>10} {"MGN+PTL":>10} {"ratio":>7}')
    for label, (base, with_ptl, ratio) in rows.items():
        print(f'{label:<20} {base:>10.1f} {with_ptl:>10.1f} {ratio:>7.3f}')


if __name__ == '__main__':
    main()
