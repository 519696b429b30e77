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
import contextlib
import multiprocessing
import platform
import resource
import statistics
import time
from pathlib import Path

import torch
from torch import nn

import mmreid.models  # noqa: F401 (registers the components)
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample
from mmreid.utils.config import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
SIDES = {'MGN': 'mgn/resnet50_market_released.py', 'MGN+PTL': 'ptl/mgn_resnet50_market_released.py'}
MIB = 2**20


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch-size', type=int, default=16, help='images in a batch (default: 16)')
    parser.add_argument('--shape', type=int, nargs=2, default=(384, 128), metavar=('H', 'W'),
                        help='size of the input, the height a multiple of 96 (default: 384 128)')
    parser.add_argument('--depth', type=int, default=50, choices=(50, 101), help='of the ResNet (default: 50)')
    parser.add_argument('--num-classes', type=int, default=751, help='identities (default: 751)')
    parser.add_argument('--iters', type=int, default=10, help='timed steps of each network (default: 10)')
    parser.add_argument('--warmup', type=int, default=3, help='steps before them (default: 3)')
    parser.add_argument('--bf16', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--contiguous', action='store_true', help='not in the channels-last memory format')
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


class Side:
    """One network with its optimizer and a batch of four images a person."""

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True  # as in training
        cfg = load_config(str(CONFIGS / SIDES[name]))
        cfg.model.backbone.update(init_cfg=None, depth=args.depth)
        cfg.model.heads.id.head.num_classes = args.num_classes
        cfg.model.channels_last = not args.contiguous
        self.device = torch.device(args.device)
        self.model: nn.Module = MODELS.build(cfg.model).to(self.device).train()
        options = {key: value for key, value in cfg.optim_wrapper.optimizer.items() if key != 'type'}
        self.optimizer = getattr(torch.optim, cfg.optim_wrapper.optimizer.type)(self.model.parameters(), **options)
        self.inputs = torch.randn(args.batch_size, 3, *args.shape, device=self.device)
        self.samples = [ReIDDataSample().set_gt_label(n // 4 % args.num_classes) for n in range(args.batch_size)]
        self.autocast = torch.autocast(self.device.type, torch.bfloat16) if args.bf16 else contextlib.nullcontext()

    def train_step(self) -> None:
        """Forward, backward and update."""
        with self.autocast:
            losses = self.model(self.inputs, self.samples, mode='loss')
        self.optimizer.zero_grad()
        self.model.parse_losses(losses)[0].backward()
        self.optimizer.step()

    def seconds(self) -> float:
        """Time of one step, the device's work included."""
        start = time.perf_counter()
        self.train_step()
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - start


def peak_memory(name: str, args: argparse.Namespace) -> dict[str, float]:
    """Peak memory in MiB of three training steps, by kind; run in a process of its own."""
    if args.threads:
        torch.set_num_threads(args.threads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    side = Side(name, args)
    for _ in range(3):
        side.train_step()
    if side.device.type == 'cuda':
        return {'tensors, MiB': torch.cuda.max_memory_allocated(side.device) / MIB,
                'allocator, MiB': torch.cuda.max_memory_reserved(side.device) / MIB}
    return {'resident set, MiB': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before}


def step_times(args: argparse.Namespace) -> list[list[float]]:
    """Milliseconds of the timed steps, a row for each network."""
    sides = [Side(name, args) for name in SIDES]
    rounds = [[1000 * side.seconds() for side in sides] for _ in range(args.warmup + args.iters)]
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
    rows.update({kind: (peaks[0][kind], peaks[1][kind], peaks[1][kind] / peaks[0][kind]) for kind in peaks[0]})

    processor = torch.cuda.get_device_name(args.device) if args.device.startswith('cuda') else \
        f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads'
    print(f'ResNet-{args.depth}, batch {args.batch_size} of {args.shape[0]} x {args.shape[1]}, {args.num_classes} '
          f'identities, {"bfloat16 autocast" if args.bf16 else "float32"}, '
          f'{"contiguous" if args.contiguous else "channels-last"}, {processor}, torch {torch.__version__}')
    print(f'{"median of " + str(args.iters):<20} {"MGN":>10} {"MGN+PTL":>10} {"ratio":>7}')
    for label, (base, with_ptl, ratio) in rows.items():
        print(f'{label:<20} {base:>10.1f} {with_ptl:>10.1f} {ratio:>7.3f}')


if __name__ == '__main__':
    main()
