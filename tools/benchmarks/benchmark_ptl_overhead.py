"""Measure what PTL costs over its backbone: time of a training step and of inference, memory, latent state.

Both networks are timed in turn in one process, so that whatever else the machine does meets both; peak memory is taken
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
from mmengine.config import Config
from torch import nn

import mmreid.models  # noqa: F401 (registers the components)
from mmreid.models import latent_state_dict, reset_latent_states
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

FOLDER = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'
CLASSES = 751
MIB = 2**20


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--backbone', default='resnet50', choices=['resnet18', 'resnet50', 'densenet161'])
    parser.add_argument('--shape', type=int, nargs=2, default=(256, 128), metavar=('H', 'W'))
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--iters', type=int, default=10, help='timed steps of each network')
    parser.add_argument('--warmup', type=int, default=3)
    parser.add_argument('--bf16', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


class Side:
    """One network with an optimizer and a batch."""

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        cfg = Config.fromfile(FOLDER / f'{name}.py').model
        cfg.backbone.init_cfg, cfg.heads.id.num_classes = None, CLASSES
        self.device = torch.device(args.device)
        self.model: nn.Module = MODELS.build(cfg).to(self.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        self.inputs = torch.randn(args.batch_size, 3, *args.shape, device=self.device)
        self.samples = [ReIDDataSample().set_gt_label(n % CLASSES) for n in range(args.batch_size)]
        self.autocast = torch.autocast(self.device.type, torch.bfloat16) if args.bf16 else contextlib.nullcontext()

    def train_step(self) -> None:
        """Forward, backward and update."""
        self.model.train()
        with self.autocast:
            losses = self.model(self.inputs, self.samples, mode='loss')
        self.optimizer.zero_grad()
        self.model.parse_losses(losses)[0].backward()
        self.optimizer.step()

    def inference(self) -> None:
        """Features of a batch."""
        self.model.eval()
        with torch.no_grad(), self.autocast:
            self.model(self.inputs)

    def seconds(self, step: str) -> float:
        """Time of one step, the device's work included."""
        start = time.perf_counter()
        getattr(self, step)()
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter() - start


def peak_memory(name: str, args: argparse.Namespace) -> float:
    """Peak memory in MiB of three training steps; run in a process of its own."""
    if args.threads:
        torch.set_num_threads(args.threads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    side = Side(name, args)
    for _ in range(3):
        side.train_step()
    if side.device.type == 'cuda':
        return torch.cuda.max_memory_allocated() / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before


def main() -> None:
    """Measure and print."""
    args = parse_args()
    names = (f'{args.backbone}_baseline', f'{args.backbone}_ptl')
    rows = {}
    with multiprocessing.get_context('spawn').Pool(1, maxtasksperchild=1) as pool:
        rows['peak memory, MiB'] = [pool.apply(peak_memory, (name, args)) for name in names]
    if args.threads:
        torch.set_num_threads(args.threads)
    sides = [Side(name, args) for name in names]
    for step in ('train_step', 'inference'):
        times = [[side.seconds(step) for side in sides] for _ in range(args.warmup + args.iters)][args.warmup:]
        rows[f'{step}, ms'] = [1000 * statistics.median(column) for column in zip(*times, strict=True)]
    states = latent_state_dict(sides[1].model).values()
    size = sum(state.numel() * state.element_size() for state in states) / MIB
    cells = reset_latent_states(sides[1].model)

    height, width = args.shape
    processor = torch.cuda.get_device_name() if args.device.startswith('cuda') else \
        f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads'
    print(f'{args.backbone}, batch {args.batch_size} of {height} x {width}, '
          f'{"bfloat16 autocast" if args.bf16 else "float32"}, channels-last, {processor}, torch {torch.__version__}')
    print(f'{"median of " + str(args.iters):<20} {"baseline":>10} {"PTL":>10} {"ratio":>7}')
    for label, (base, ptl) in rows.items():
        print(f'{label:<20} {base:>10.1f} {ptl:>10.1f} {ptl / base:>7.3f}')
    print(f'latent state of the {cells} cells: {size:.1f} MiB')


if __name__ == '__main__':
    main()
