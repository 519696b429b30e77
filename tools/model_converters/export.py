#!/usr/bin/env python
"""Write a trained network as one file that needs no mmreid: ONNX or torch.export.

    python tools/model_converters/export.py CONFIG CHECKPOINT model.onnx     # needs: pip install onnx onnxscript
    python tools/model_converters/export.py CONFIG CHECKPOINT model.pt2

Input ``images``: (N, 3, H, W) float32, values 0 to 255, any N, channels in BGR order (--rgb: RGB), already resized as
the test pipeline of the config does; normalisation is part of the graph. Output ``features``: (N, D) float32, those of
mmreid.apis.ReIDInferencer without test-time augmentation. The file is read back and compared with the network; ONNX
only where onnxruntime is installed.
"""

import argparse
import os
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mmreid.apis import ReIDInferencer
from mmreid.apis.images import ImageList
from mmreid.utils.command_line import check_output, plain_errors, say
from mmreid.utils.config import ConfigError
from mmreid.utils.option_action import OptionAction

#: Largest difference from the network, as a share of the largest number of the features.
TOLERANCE = 1e-5


class Exported(nn.Module):
    """Images with values 0 to 255 -> features; what the data preprocessor does is inside.

    Args:
        network (nn.Module): An ``EmbeddingNet`` in evaluation mode.
        rgb (bool): Whether images come in RGB order instead of BGR. Defaults to False.
    """

    def __init__(self, network: nn.Module, rgb: bool = False) -> None:
        super().__init__()
        preprocessor = network.data_preprocessor
        # Whoever runs the graph chooses the memory format.
        network.memory_format = torch.contiguous_format
        self.network = network.to(memory_format=torch.contiguous_format)
        self.flip = bool(preprocessor.bgr_to_rgb) != rgb
        self.register_buffer('mean', preprocessor.mean.clone())
        self.register_buffer('std', preprocessor.std.clone())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features ``(N, D)`` of images ``(N, 3, H, W)``."""
        images = images.flip(1) if self.flip else images
        return self.network.extract_feature((images - self.mean) / self.std).float()


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config that the model was trained with')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('out', metavar='OUT.onnx|OUT.pt2', help='file to write')
    parser.add_argument('--rgb', action='store_true', help='the images will come in RGB order')
    parser.add_argument('--size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'),
                        help='size of the images, for a config whose test pipeline does not resize')
    parser.add_argument('--force', action='store_true', help='replace an earlier file')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE',
                        help='change config entries')
    return parser.parse_args(argv)


def input_size(inferencer: ReIDInferencer, asked: Sequence[int] | None = None) -> tuple[int, int]:
    """Height and width that the test pipeline gives to images, or that are asked for where it leaves them as they are.

    Raises:
        ConfigError: If it fixes no size and none is asked for, or another one.
    """
    blanks = [np.zeros((height, width, 3), np.uint8) for height, width in ((100, 60), (90, 80))]
    dataset = ImageList(blanks, inferencer.pipeline)
    sizes = {tuple(dataset[row][1]['inputs'].shape[-2:]) for row in range(len(blanks))}
    if len(sizes) > 1 and asked is None:
        raise ConfigError('the test pipeline of the config does not resize images to one size; give it with --size '
                          'HEIGHT WIDTH')
    if len(sizes) == 1 and asked is not None and tuple(asked) not in sizes:
        raise ConfigError(f'the test pipeline of the config gives images of {sizes.pop()} (height, width), not of '
                          f'{tuple(asked)}')
    return tuple(asked) if asked is not None else sizes.pop()


def export(module: nn.Module, images: torch.Tensor, out: Path) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Write a file, read it back and return what runs it; None where that is not installed.

    Raises:
        ImportError: If ONNX is asked for and not installed, or torch is too old for it.
    """
    suffix = out.suffix.lower()
    if suffix == '.onnx' and 'external_data' not in signature(torch.onnx.export).parameters:
        raise ImportError(f'writing ONNX needs torch 2.5 or newer, this is {torch.__version__}; *.pt2 works with it')
    if suffix == '.onnx' and any(find_spec(name) is None for name in ('onnx', 'onnxscript')):
        raise ImportError('writing ONNX needs two more packages: pip install onnx onnxscript; *.pt2 needs none')
    batch = torch.export.Dim('batch', min=1)
    program = torch.export.export(module, (images, ), dynamic_shapes=({0: batch}, ), strict=True)
    if suffix == '.pt2':
        torch.export.save(program, out)
        return torch.export.load(out).module()
    torch.onnx.export(program, (), str(out), dynamo=True, external_data=False, input_names=['images'],
                      output_names=['features'], verbose=False)
    if find_spec('onnxruntime') is None:
        return None
    import onnxruntime
    session = onnxruntime.InferenceSession(str(out), providers=['CPUExecutionProvider'])
    return lambda batch: torch.from_numpy(session.run(None, {'images': batch.numpy()})[0])


def compare(module: nn.Module, runs: Callable[[torch.Tensor], torch.Tensor], size: tuple[int, int]) -> float:
    """Largest difference on batches of several sizes, as a share of the largest number of the features.

    Raises:
        ValueError: If it is larger than it may be.
    """
    generator, difference = torch.Generator().manual_seed(0), 0.
    for count in (1, 2, 5):
        images = torch.randint(0, 256, (count, 3, *size), generator=generator).float()
        expected = module(images)
        difference = max(difference, float((runs(images) - expected).abs().max() / expected.abs().max()))
    if not difference <= TOLERANCE:
        raise ValueError(f'the file gives other features than the network: they differ by {difference:.1g} of the '
                         f'largest number, allowed is {TOLERANCE:g}')
    return difference


@torch.no_grad()
def main(argv=None) -> None:
    """Export."""
    args = parse_args(argv)
    warnings.simplefilter('ignore')  # of torch about itself
    with plain_errors():
        out = check_output(args.out, ('.onnx', '.pt2'), 'OUT', (args.config, args.checkpoint))
        if out.exists() and not args.force:
            raise ValueError(f'{out} is there already; name another file, or replace it with --force')
        inferencer = ReIDInferencer(args.config, args.checkpoint, device='cpu', tta='none',
                                    cfg_options=args.cfg_options)
        module, size = Exported(inferencer.model, args.rgb).eval(), input_size(inferencer, args.size)
        temporary = out.with_name(f'.{out.stem}.{os.getpid()}.tmp{out.suffix}')
        try:  # only a file that gives the right features gets the name
            runs = export(module, torch.zeros(3, 3, *size), temporary)
            difference = None if runs is None else compare(module, runs, size)
            os.replace(temporary, out)
        finally:
            temporary.unlink(missing_ok=True)
    say(f'written: {out}: images (N, 3, {size[0]}, {size[1]}) float32, 0 to 255, {"RGB" if args.rgb else "BGR"} -> '
        f'features (N, {module(torch.zeros(1, 3, *size)).shape[1]})')
    say('not compared with the network: pip install onnxruntime' if difference is None else
        f'read back: differs from the network by {difference:.1g} of the largest number at most')


if __name__ == '__main__':
    main()
