"""Measure what PTL costs over its backbone: time of a training step and of inference, memory, latent state.

Both networks are timed in turn in one process, so that whatever else the machine does meets both; peak memory is taken
in a process of its own for each. Medians and ratios are printed.
"""

import argparse
import multiprocessing
import statistics
from pathlib import Path

import torch
from mmengine.config import Config
from training_side import MIB, TrainingSide, add_arguments, processor, resident_mib

import mmreid.models  # noqa: F401 (registers the components)
from mmreid.models import latent_state_dict, reset_latent_states
from mmreid.registry import MODELS

FOLDER = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'
CLASSES = 751


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--backbone', default='resnet50', choices=['resnet18', 'resnet50', 'densenet161'])
    add_arguments(parser, shape=(256, 128), batch_size=32)
    return parser.parse_args()


def build(name: str, args: argparse.Namespace) -> TrainingSide:
    """One network with an optimizer and a batch."""
    torch.manual_seed(0)
    cfg = Config.fromfile(FOLDER / f'{name}.py').model
    cfg.backbone.init_cfg, cfg.heads.id.num_classes = None, CLASSES
    labels = [n % CLASSES for n in range(args.batch_size)]
    return TrainingSide(MODELS.build(cfg), dict(type='SGD', lr=1e-3, momentum=0.9), labels, args)


def peak_memory(name: str, args: argparse.Namespace) -> float:
    """Peak memory in MiB of three training steps; run in a process of its own."""
    if args.threads:
        torch.set_num_threads(args.threads)
    before = resident_mib()
    side = build(name, args)
    for _ in range(3):
        side.train_step()
    if side.device.type == 'cuda':
        return torch.cuda.max_memory_allocated(side.device) / MIB
    return resident_mib() - before


def main() -> None:
    """Measure and print."""
    args = parse_args()
    names = (f'{args.backbone}_baseline', f'{args.backbone}_ptl')
    rows = {}
    with multiprocessing.get_context('spawn').Pool(1, maxtasksperchild=1) as pool:
        rows['peak memory, MiB'] = [pool.apply(peak_memory, (name, args)) for name in names]
    if args.threads:
        torch.set_num_threads(args.threads)
    sides = [build(name, args) for name in names]
    for step in ('train_step', 'inference'):
        times = [[side.seconds(step) for side in sides] for _ in range(args.warmup + args.iters)][args.warmup:]
        rows[f'{step}, ms'] = [1000 * statistics.median(column) for column in zip(*times, strict=True)]
    states = latent_state_dict(sides[1].model).values()
    size = sum(state.numel() * state.element_size() for state in states) / MIB
    cells = reset_latent_states(sides[1].model)

    height, width = args.shape
    print(f'{args.backbone}, batch {args.batch_size} of {height} x {width}, '
          f'{"bfloat16 autocast" if args.bf16 else "float32"}, channels-last, {processor(args.device)}, '
          f'torch {torch.__version__}')
    print(f'{"median of " + str(args.iters):<20} {"baseline":>10} {"PTL":>10} {"ratio":>7}')
    for label, (base, ptl) in rows.items():
        print(f'{label:<20} {base:>10.1f} {ptl:>10.1f} {ptl / base:>7.3f}')
    print(f'latent state of the {cells} cells: {size:.1f} MiB')


if __name__ == '__main__':
    main()
