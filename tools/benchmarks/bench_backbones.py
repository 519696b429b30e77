#!/usr/bin/env python
"""Features per second of networks that differ in their backbone, side by side.

    python tools/benchmarks/bench_backbones.py
    python tools/benchmarks/bench_backbones.py --networks mobilenet_v1 resnet50 --batch-size 8 --shape 128 64
    python tools/benchmarks/bench_backbones.py --device cuda --bf16

Every network ends in the metric embedding of EmbAE (pooling, 1024, 128). One batch of random images, which lies on the
device already, goes through each in turn, in evaluation mode; medians and ratios to the last network are printed, with
parameters and Mult-Adds of what a feature needs.
"""

import argparse
import contextlib
import platform
import statistics

import torch
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from training_side import processor

from mmreid.registry import MODELS
from mmreid.utils.command_line import check_device, plain_errors
from mmreid.utils.memory import seconds

#: Backbones, each with the channels of its last map.
NETWORKS = {
    'mobilenet_v1': (dict(type='MobileNetV1'), 1024),
    'mobilenet_v1_0.5': (dict(type='MobileNetV1', width_multiplier=0.5), 512),
    'mobilenet_v2': (dict(type='mmpretrain.MobileNetV2'), 1280),
    'mobilenet_v3': (dict(type='mmpretrain.MobileNetV3', arch='large'), 960),
    'resnet18': (dict(type='ResNetTaps', depth=18), 512),
    'resnet50': (dict(type='ResNetTaps', depth=50), 2048),
}


def parse_args(argv=None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--networks', nargs='+', choices=NETWORKS,
                        default=['mobilenet_v1', 'mobilenet_v2', 'mobilenet_v3', 'resnet50'],
                        help='what to compare; ratios are to the last one (default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--shape', type=int, nargs=2, default=(256, 128), metavar=('H', 'W'))
    parser.add_argument('--repeats', type=int, default=10, help='timed batches of each network (default: 10)')
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--bf16', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--device', help='cpu or cuda (default: cuda where there is one)')
    args = parser.parse_args(argv)
    for name in ('batch_size', 'repeats', 'threads'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {getattr(args, name)}')
    if min(args.shape) < 32:
        parser.error(f'--shape must be at least 32 x 32, got {args.shape[0]} x {args.shape[1]}')
    return args


def build(name: str) -> nn.Module:
    """A network with new weights, in evaluation mode."""
    backbone, channels = NETWORKS[name]
    neck = dict(type='EmbAENeck', in_channels=channels)
    return MODELS.build(dict(type='EmbeddingNet', backbone=dict(backbone), neck=neck)).eval()


def mult_adds(network: nn.Module, shape: tuple[int, int]) -> int:
    """Multiplications with additions that the feature of an image takes, in matrix products and convolutions."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.extract_feature(torch.zeros(1, 3, *shape))
    return counter.get_total_flops() // 2


def measure(networks: dict[str, nn.Module], images: torch.Tensor, repeats: int, bf16: bool) -> dict[str, list[float]]:
    """Seconds that every network takes for a batch, the networks in turn; the first two rounds warm up."""
    autocast = torch.autocast(images.device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()
    times: dict[str, list[float]] = {name: [] for name in networks}
    with torch.no_grad(), autocast:
        for repeat in range(-2, repeats):
            for name, network in networks.items():
                taken = seconds(lambda network=network: network.extract_feature(images), images.device)
                times[name] += [taken] if repeat >= 0 else []
    return times


def main(argv=None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    with plain_errors():
        device = check_device(args.device) or ('cuda' if torch.cuda.is_available() else 'cpu')
    if args.threads:
        torch.set_num_threads(args.threads)
    init_default_scope('mmreid')
    networks = {name: build(name) for name in dict.fromkeys(args.networks)}
    work = {name: mult_adds(network, args.shape) for name, network in networks.items()}
    for network in networks.values():
        network.to(device)
    images = torch.randn(args.batch_size, 3, *args.shape, device=device)
    times = measure(networks, images, args.repeats, args.bf16)
    height, width = args.shape
    print(f'{processor(device)}; torch {torch.__version__}, Python {platform.python_version()}; batch '
          f'{args.batch_size} of {height} x {width}, {"bfloat16" if args.bf16 else "float32"}, channels-last, medians '
          f'of {args.repeats}')
    medians = {name: statistics.median(values) for name, values in times.items()}
    last = list(networks)[-1]
    for name, network in networks.items():
        rate = [args.batch_size / time for time in (medians[name], max(times[name]), min(times[name]))]
        parameters = sum(p.numel() for p in network.parameters())
        print(f'{name:17s} {rate[0]:9.1f} features/s  (from {rate[1]:.1f} to {rate[2]:.1f}), '
              f'{medians[last] / medians[name]:.2f} x {last}; {parameters / 1e6:.2f} m parameters, '
              f'{work[name] / 1e6:.0f} m Mult-Adds')


if __name__ == '__main__':
    main()
