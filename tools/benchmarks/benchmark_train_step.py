#!/usr/bin/env python
"""Time a training step of mmreid against a bare PyTorch loop over the same modules and batch.

    python tools/benchmarks/benchmark_train_step.py
    python tools/benchmarks/benchmark_train_step.py --formats bf16 --allocators 0 1024

One side is ``EpochTrainLoop.run_iter`` with all default hooks (log, schedulers, loss check), the other a short plain
loop. Both start from the same uint8 images; steps of both sides alternate, so a change of speed meets both.
"""

import argparse
import copy
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from mmreid.models.heads.base import stack_labels
from mmreid.registry import RUNNERS
from mmreid.utils.config import load_config

ROOT = Path(__file__).parents[2]
FORMATS = {'fp32': (False, False), 'channels_last': (True, False), 'bf16': (True, True)}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default=str(ROOT / 'configs/baseline/resnet50_market.py'))
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--size', type=int, nargs=2, default=(256, 128), help='height and width')
    parser.add_argument('--steps', type=int, default=7, help='counted steps of each side')
    parser.add_argument('--warmup', type=int, default=2)
    parser.add_argument('--formats', nargs='+', choices=FORMATS, default=list(FORMATS),
                        help='fp32, channels_last (fp32), bf16 (channels-last too)')
    parser.add_argument('--allocators', type=int, nargs='+', default=[1024], metavar='MB',
                        help='values of env_cfg.keep_freed_memory_mb to measure (0: as the C library has it)')
    parser.add_argument('--one', nargs=2, metavar=('FORMAT', 'MB'), help=argparse.SUPPRESS)
    return parser.parse_args()


def build_runner(args: argparse.Namespace, channels_last: bool, amp: bool, keep_mb: int, work_dir: str):
    """A runner of the config on drawn images of the wanted size, ready for its first step."""
    cfg = load_config(args.config)
    size = tuple(args.size)
    data = dict(type='SyntheticReID', domain='a', split='train', num_train_pids=751, num_cams=1,
                num_images=1, size=size, pipeline=[dict(type='LoadImage'), dict(type='PackReIDInputs')])
    cfg.train_dataloader = dict(
        batch_size=args.batch_size, num_workers=0, sampler=dict(type='ShuffleSampler'), dataset=data)
    for part in ('val_dataloader', 'val_cfg', 'val_evaluator', 'test_dataloader', 'test_cfg', 'test_evaluator'):
        cfg[part] = None
    cfg.default_hooks.checkpoint.update(interval=-1, save_best=None, save_last=False)
    cfg.model.backbone.init_cfg = None
    cfg.model.channels_last = cfg.model.data_preprocessor.channels_last = channels_last
    if amp:
        cfg.optim_wrapper.update(type='ReIDAmpOptimWrapper', dtype='bfloat16')
    cfg.env_cfg.keep_freed_memory_mb = keep_mb
    cfg.work_dir, cfg.log_level = work_dir, 'ERROR'
    runner = RUNNERS.build(cfg)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    for stage in ('before_run', 'before_train', 'before_train_epoch'):
        runner.call_hook(stage)
    runner.optim_wrapper.initialize_count_status(runner.model, 0, 10**6)
    runner.model.train()
    return runner


class BareLoop:
    """The same modules in a plain loop: one classification head on one embedding."""

    def __init__(self, model: torch.nn.Module, amp: bool) -> None:
        self.model, self.amp = copy.deepcopy(model).train(), amp
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        self.device = next(model.parameters()).device

    def step(self, batch: dict) -> None:
        model, preprocessor = self.model, self.model.data_preprocessor
        images = batch['inputs'].to(self.device, non_blocking=True).flip(1)
        images = images.to(torch.float32, memory_format=preprocessor.memory_format)
        images = images.sub_(preprocessor.mean).div_(preprocessor.std)
        labels = stack_labels(batch['data_samples']).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            feats = model.neck(model.backbone(images))
            loss = sum(F.cross_entropy(head(feats[head.in_key]), labels) for head in model.heads.values())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def measure(args: argparse.Namespace, name: str, keep_mb: int) -> None:
    channels_last, amp = FORMATS[name]
    with tempfile.TemporaryDirectory() as work_dir:
        runner = build_runner(args, channels_last, amp, keep_mb, work_dir)
        bare, batch = BareLoop(runner.model, amp), next(iter(runner.train_dataloader))
        times = {'mmreid': [], 'bare': []}
        for step in range(args.warmup + args.steps):
            for side, run in (('mmreid', lambda i=step: runner.train_loop.run_iter(i, batch)),
                              ('bare', lambda: bare.step(batch))):
                _synchronize(bare.device)
                start = time.perf_counter()
                run()
                _synchronize(bare.device)
                if step >= args.warmup:
                    times[side].append(time.perf_counter() - start)
    medians = {side: statistics.median(values) for side, values in times.items()}
    ratio = statistics.median(a / b for a, b in zip(times['mmreid'], times['bare']))
    images = args.batch_size
    columns = [f'{medians[side]:>9.3f} {images / medians[side]:>8.1f}' for side in ('mmreid', 'bare')]
    print(f'{name:<14} {keep_mb:>9} {columns[0]} {columns[1]} {ratio:>7.3f}', flush=True)


def _synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def main() -> None:
    args = parse_args()
    if args.one:
        measure(args, args.one[0], int(args.one[1]))
        return
    print(f'{Path(args.config).relative_to(ROOT)}, batch {args.batch_size}, {args.size[0]}x{args.size[1]}, torch '
          f'{torch.__version__}, {torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"}, '
          f'{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}; medians of {args.steps} steps')
    print(f'{"format":<14} {"keep (MB)":>9} {"mmreid s":>9} {"images/s":>8} {"bare s":>9} {"images/s":>8} {"ratio":>7}',
          flush=True)
    for keep_mb in args.allocators:  # the allocator cannot be set back, so each setting has a process of its own
        for name in args.formats:
            subprocess.run([sys.executable, *sys.argv, '--one', name, str(keep_mb)], check=True)


if __name__ == '__main__':
    main()
