#!/usr/bin/env python
"""Time and memory of the verification loss beside a loop over its pairs, on a CPU or on CUDA.

    python tools/benchmarks/bench_verification.py                              # 32 x 2 and 16 x 8 images
    python tools/benchmarks/bench_verification.py --batch 32 2 --repeats 5
    python tools/benchmarks/bench_verification.py --device cuda

A step is the loss of the pairs of a batch of embeddings, with pairwise-consistent dropout, and its gradient. Three
sides run in turn in one process on the same pairs and masks: VerificationHead with all pairs at once, VerificationHead
in chunks, and the subnet applied to one pair after another. Peak memory is taken in a process of its own for each.
Medians, ratios and the relative differences of loss and gradient are printed. The loop takes seconds a step; --no-loop
leaves it out.
"""

import argparse
import multiprocessing
import platform
import statistics
from collections.abc import Callable

import torch

from mmreid.models.heads import VerificationHead, count_pairs, verification_pairs
from mmreid.utils.memory import peak_extra_bytes, seconds

AT_ONCE, CHUNKS, LOOP = 'all at once', 'in chunks', 'loop over pairs'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, nargs=2, action='append', metavar=('P', 'K'),
                        help='identities and images of each; may be given again (default: 32 2 and 16 8)')
    parser.add_argument('--channels', type=int, default=1024, help='of the embedding and of the hidden layer')
    parser.add_argument('--chunk-size', type=int, default=1024, help='pairs of a chunk (default: 1024)')
    parser.add_argument('--dropout', type=float, default=.5)
    parser.add_argument('--repeats', type=int, default=3, help='timed steps of each side (default: 3)')
    parser.add_argument('--no-loop', action='store_true', help='leave the loop over pairs out')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=int, help='CPU threads')
    return parser.parse_args()


class Side:
    """A step of one side: loss and gradients of a batch, from the same seed every time."""

    def __init__(self, name: str, num_pids: int, num_instances: int, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.head = VerificationHead(args.channels, hidden_channels=args.channels, dropout=args.dropout,
                                     chunk_size=args.chunk_size if name == CHUNKS else 2**62).to(args.device)
        self.labels = torch.arange(num_pids).repeat_interleave(num_instances)
        self.counts = count_pairs(self.labels)
        self.labels = self.labels.to(args.device)
        self.feats = torch.randn(len(self.labels), args.channels).to(args.device).requires_grad_()
        self._loss: Callable[[], torch.Tensor] = self._loop if name == LOOP else self._vectorised
        self.loss = torch.zeros(())

    def step(self) -> None:
        """Forward and backward."""
        torch.manual_seed(1)
        self.head.zero_grad()
        self.feats.grad = None
        self.loss = self._loss()
        self.loss.backward()

    def _vectorised(self) -> torch.Tensor:
        return self.head.loss_by_feat(self.head(self.feats), self.labels, counts=self.counts)['loss_ver']

    def _loop(self) -> torch.Tensor:
        feats = self.head(self.feats)
        first, second, same = verification_pairs(self.labels, counts=self.counts)
        masks = self.head.dropout.masks(len(same), feats)
        masks = torch.ones(len(same), feats.shape[1], device=feats.device) if masks is None else \
            masks.rows(0, len(same))
        total = 0
        for i, j, answer, mask in zip(first.tolist(), second.tolist(), same.long(), masks, strict=True):
            logits = self.head.compare(((feats[i] - feats[j]) * mask)[None])
            total = total + self.head.loss_module(logits, answer[None])
        return total / len(same)


def relative_differences(one: Side, other: Side) -> tuple[float, float]:
    """Relative differences of the losses, and of the gradients of embeddings and subnet as two long vectors."""
    ours, theirs = ([torch.cat([p.grad.flatten() for p in group]) for group in ([side.feats], side.head.parameters())]
                    for side in (one, other))
    of_gradients = [float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True)]
    return abs(one.loss.item() / other.loss.item() - 1), max(of_gradients)


def peak_memory(name: str, num_pids: int, num_instances: int, args: argparse.Namespace) -> int | None:
    """Peak memory of a step above what is in use before it; run in a process of its own."""
    if args.threads:
        torch.set_num_threads(args.threads)
    Side(name, 2, 2, args).step()  # what is loaded with the first step belongs to no side
    side = Side(name, num_pids, num_instances, args)
    return peak_extra_bytes(side.step, args.device)


def measure(num_pids: int, num_instances: int, args: argparse.Namespace) -> None:
    """Measure one batch and print."""
    names = [AT_ONCE, CHUNKS] if args.no_loop else [AT_ONCE, CHUNKS, LOOP]
    sides = {name: Side(name, num_pids, num_instances, args) for name in names}
    with multiprocessing.get_context('spawn').Pool(1, maxtasksperchild=1) as pool:
        memory = {name: pool.apply(peak_memory, (name, num_pids, num_instances, args)) for name in names}
    for side in sides.values():  # warms up
        side.step()
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(args.repeats):
        for name, side in sides.items():
            times[name].append(seconds(side.step, args.device))
    medians = {name: statistics.median(values) for name, values in times.items()}
    positives, negatives = sides[AT_ONCE].counts
    print(f'{num_pids} x {num_instances} images: {positives:,} positive and {negatives:,} negative pairs, '
          f'{2 * max(positives, negatives):,} compared')
    for name, side in sides.items():
        extra = 'n/a' if memory[name] is None else f'{memory[name] / 2**20:.0f} MiB'
        label = f'{name} of {args.chunk_size}' if name == CHUNKS else name
        loss, gradient = relative_differences(side, sides[AT_ONCE])
        print(f'  {label:<20} {1000 * medians[name]:>10.1f} ms  {medians[name] / medians[AT_ONCE]:>7.2f} x all at once'
              f'  {extra:>10}  loss differs by {loss:.0e}, gradients by {gradient:.0e}')


def main() -> None:
    """Measure and print."""
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    where = torch.cuda.get_device_name(args.device) if args.device.startswith('cuda') else \
        f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads'
    print(f'{where}; torch {torch.__version__}; {args.channels} channels, dropout {args.dropout}, float32, medians of '
          f'{args.repeats}; memory: peak above what was in use')
    for num_pids, num_instances in args.batch or [(32, 2), (16, 8)]:
        measure(num_pids, num_instances, args)


if __name__ == '__main__':
    main()
