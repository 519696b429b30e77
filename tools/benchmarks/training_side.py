"""One side of a comparison of training steps: a network with its optimizer and a batch."""

import argparse
import contextlib
import platform
import resource
import time

import torch
from torch import nn

from mmreid.structures import ReIDDataSample

MIB = 2**20


def add_arguments(parser: argparse.ArgumentParser, shape: tuple[int, int], batch_size: int) -> None:
    """Add the arguments that all comparisons of training steps share."""
    parser.add_argument('--batch-size', type=int, default=batch_size, help=f'images in a batch (default: {batch_size})')
    parser.add_argument('--shape', type=int, nargs=2, default=shape, metavar=('H', 'W'),
                        help=f'size of the input (default: {shape[0]} {shape[1]})')
    parser.add_argument('--iters', type=int, default=10, help='timed steps of each network (default: 10)')
    parser.add_argument('--warmup', type=int, default=3, help='steps before them (default: 3)')
    parser.add_argument('--bf16', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')


class TrainingSide:
    """A network with an optimizer and a batch.

    Args:
        model (nn.Module): An embedding network.
        optimizer (dict): ``type``, a class of ``torch.optim``, and its arguments.
        labels (list[int]): Class of each image of the batch.
        args (argparse.Namespace): What :func:`add_arguments` reads.
    """

    def __init__(self, model: nn.Module, optimizer: dict, labels: list[int], args: argparse.Namespace) -> None:
        self.device = torch.device(args.device)
        self.model = model.to(self.device)
        options = {key: value for key, value in optimizer.items() if key != 'type'}
        self.optimizer = getattr(torch.optim, optimizer['type'])(self.model.parameters(), **options)
        self.inputs = torch.randn(args.batch_size, 3, *args.shape, device=self.device)
        self.samples = [ReIDDataSample().set_gt_label(label) for label in labels]
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
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - start


def resident_mib() -> float:
    """Largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def processor(device: str) -> str:
    """Name of what computes."""
    if device.startswith('cuda'):
        return torch.cuda.get_device_name(device)
    return f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads'
