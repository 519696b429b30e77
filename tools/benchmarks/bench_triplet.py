#!/usr/bin/env python
"""Time of the generalised batch-hard triplet loss beside plain batch hard and a loop, on a CPU or on CUDA.

    python tools/benchmarks/bench_triplet.py                                     # 16 x 8 images, 1024 channels
    python tools/benchmarks/bench_triplet.py --ranks 8 16 --repeats 500
    python tools/benchmarks/bench_triplet.py --device cuda

A step is the loss of a batch of embeddings and its gradient. TripletLoss with a soft margin, the generalised loss for
every given (k, p), and for each a loop over the anchors, which measures, sorts and picks for one after the other, run
in turn in one process; and both losses as a training step has them: in a TripletHead, which reads the labels of the
samples, checks them and counts what is logged. Medians, quartiles and ratios to TripletLoss (of heads, to the head with
TripletLoss) are printed, and how far loss and gradient are from those of the loop. On a busy machine only the ratios
mean something, and those only over many repeats.
"""

import argparse
import platform
import statistics
from collections.abc import Callable

import torch
from torch import nn

from mmreid.models.heads import TripletHead
from mmreid.models.losses import GeneralizedBatchHardTripletLoss, TripletLoss
from mmreid.structures import ReIDDataSample
from mmreid.utils.command_line import check_device, plain_errors
from mmreid.utils.memory import seconds

PLAIN = 'batch hard'
#: Before the name of a loss: the same in a head.
HEAD = 'head, '
#: Steps before the first that is timed.
WARM_UP = 5


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=_at_least(2), nargs=2, default=[16, 8], metavar=('P', 'K'),
                        help='identities and images of each (default: 16 8)')
    parser.add_argument('--channels', type=_at_least(1), default=1024, help='of the embedding (default: 1024)')
    parser.add_argument('--ranks', type=_at_least(1), nargs=2, action='append', metavar=('k', 'p'),
                        help='may be given again (default: 1 1, 4 8 and 8 16)')
    parser.add_argument('--repeats', type=_at_least(1), default=200, help='timed steps of each side (default: 200)')
    parser.add_argument('--loop-repeats', type=_at_least(0), default=5, metavar='N',
                        help='timed steps of the loops; 0: none (default: 5)')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=_at_least(1), help='CPU threads')
    return parser.parse_args()


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f'must be at least {least}, got {value}')
        return value

    return number


class AnchorLoop(nn.Module):
    """The generalised loss, one anchor after the other."""

    def __init__(self, k: int, p: int) -> None:
        super().__init__()
        self.k, self.p = k, p

    def forward(self, feats: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the anchors, each its own positive at distance 0."""
        total = feats.new_zeros(())
        for a in range(len(feats)):
            dist = (feats - feats[a]).square().sum(1)
            same = labels == labels[a]
            others = same & (torch.arange(len(feats), device=feats.device) != a)
            positives = torch.cat([dist[others].sqrt(), feats.new_zeros(1)]).sort(descending=True).values
            negatives = dist[~same].sqrt().sort().values
            total = total + nn.functional.softplus(positives[self.k - 1] - negatives[self.p - 1])
        return total / len(feats)


class HeadLoss:
    """The loss of a TripletHead, from the samples of a batch on."""

    def __init__(self, cfg: dict) -> None:
        self.head, self.samples = TripletHead(loss=cfg), []

    def __call__(self, feats: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """What is logged is computed, too."""
        self.samples = self.samples or [ReIDDataSample().set_gt_label(label) for label in labels.tolist()]
        return self.head.loss(dict(feat=feats), self.samples)['loss_triplet']


class Side:
    """A step of one side on the same embeddings as the others."""

    def __init__(self, loss: Callable[..., torch.Tensor], args: argparse.Namespace) -> None:
        num_pids, num_instances = args.batch
        generator = torch.Generator().manual_seed(0)
        # Images of an identity lie together, more or less, at distances for which the soft margin is not flat.
        feats = (torch.randn(num_pids, 1, args.channels, generator=generator)
                 + torch.randn(num_pids, num_instances, args.channels, generator=generator)).flatten(0, 1)
        feats = feats / args.channels**.5
        self.feats = feats.to(args.device).requires_grad_()
        self.labels = torch.arange(num_pids, device=args.device).repeat_interleave(num_instances)
        self.function, self.loss = loss, torch.zeros(())

    def step(self) -> None:
        """Forward and backward."""
        self.feats.grad = None
        self.loss = self.function(self.feats, self.labels)
        self.loss.backward()


def differences(one: Side, other: Side) -> tuple[float, float]:
    """Relative differences of losses and gradients after a step of each."""
    for side in (one, other):
        side.step()
    gradient = (one.feats.grad - other.feats.grad).norm() / other.feats.grad.norm()
    return abs(one.loss.item() / other.loss.item() - 1), float(gradient)


def measure(sides: dict[str, Side], repeats: int, device: str) -> dict[str, list[float]]:
    """Seconds of steps by side, which run in turn."""
    for side in sides.values():
        for _ in range(min(WARM_UP, repeats)):
            side.step()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            times[name].append(seconds(side.step, device))
    return times


def main() -> None:
    """Measure and print."""
    args = parse_args()
    with plain_errors():
        check_device(args.device)
        if args.threads:
            torch.set_num_threads(args.threads)
        ranks = {f'k={k} p={p}': (k, p) for k, p in args.ranks or [(1, 1), (4, 8), (8, 16)]}
        num_pids, num_instances = args.batch
        for k, p in ranks.values():  # a loss does not look at labels on a GPU
            GeneralizedBatchHardTripletLoss(k, p).check_labels(torch.arange(num_pids).repeat_interleave(num_instances))
        compare(ranks, args)


def compare(ranks: dict[str, tuple[int, int]], args: argparse.Namespace) -> None:
    """Measure all sides and print a line for each."""
    generalised = {name: dict(type='GeneralizedBatchHardTripletLoss', k=k, p=p) for name, (k, p) in ranks.items()}
    sides = {PLAIN: Side(TripletLoss(margin=None), args),
             **{name: Side(GeneralizedBatchHardTripletLoss(k, p), args) for name, (k, p) in ranks.items()},
             HEAD + PLAIN: Side(HeadLoss(dict(type='TripletLoss', margin=None)), args),
             **{HEAD + name: Side(HeadLoss(cfg), args) for name, cfg in generalised.items()}}
    loops = {f'loop, {name}': Side(AnchorLoop(k, p), args) for name, (k, p) in ranks.items()}
    times = measure(sides, args.repeats, args.device)
    if args.loop_repeats:
        times.update(measure(loops, args.loop_repeats, args.device))
    where = torch.cuda.get_device_name(args.device) if args.device.startswith('cuda') else \
        f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads'
    num_pids, num_instances = args.batch
    print(f'{where}; torch {torch.__version__}; {num_pids} x {num_instances} images, {args.channels} channels, float32;'
          f' forward and backward, medians of {args.repeats} steps, of {args.loop_repeats} of the loops')
    for name, values in times.items():
        plain = statistics.median(times[HEAD + PLAIN if name.startswith(HEAD) else PLAIN])
        low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
        line = f'  {name:<18} {1e3 * middle:>9.3f} ms ({1e3 * low:.3f} to {1e3 * high:.3f}) {middle / plain:>8.2f} x'
        if name in ranks:
            line += ' batch hard;   loss differs by {:.0e} from the loop, gradient by {:.0e}'.format(
                *differences(sides[name], loops[f'loop, {name}']))
        elif name.removeprefix(HEAD) in ranks:
            line += ' head, batch hard'
        print(line)


if __name__ == '__main__':
    main()
