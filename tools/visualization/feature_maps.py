#!/usr/bin/env python
"""Draw the responses of the first convolution of two networks side by side, as in Figure 2 of DTL.

    python tools/visualization/feature_maps.py CONFIG_A CHECKPOINT_A CONFIG_B CHECKPOINT_B a.jpg b.jpg --out maps.png

Rows are images (by default drawn ones: two people, two cameras), columns the image, then for each network the mean over
all channels and some single channels. A response is the output of the first convolution of the backbone, after the
batch norm that directly follows it, if one does, and ReLU. Without --channels-a and --channels-b the channels with the
greatest standard deviation within an image are shown, by the same rule for both. The colours of a column span 0 (dark)
to the largest response of that column (bright); columns differ in scale.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmreid.datasets import SyntheticReID
from mmreid.datasets.image_io import read_image
from mmreid.models.backbones import load_pretrained
from mmreid.registry import MODELS
from mmreid.utils.command_line import check_output, plain_errors, say
from mmreid.utils.config import ConfigError, load_config
from mmreid.visualization import contact_sheet


@dataclass
class Network:
    """What is needed of a trained network.

    Attributes:
        name: Name in the picture.
        backbone: Its backbone, with its weights, in evaluation mode.
        preprocessor: Its data preprocessor.
        pipeline: Its transforms for testing.
    """

    name: str
    backbone: nn.Module
    preprocessor: nn.Module
    pipeline: Compose


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for side in 'ab':
        parser.add_argument(f'config_{side}', metavar=f'CONFIG_{side.upper()}', help='config of a network')
        parser.add_argument(f'checkpoint_{side}', metavar=f'CHECKPOINT_{side.upper()}',
                            help='its checkpoint, or weights of its backbone, also torchvision://NAME')
    parser.add_argument('images', nargs='*', metavar='IMAGE', help='image files (default: drawn images)')
    parser.add_argument('--out', default='feature_maps.png', metavar='FILE.png', help='picture to write')
    parser.add_argument('--names', nargs=2, default=('A', 'B'), metavar=('A', 'B'), help='short names of the networks')
    parser.add_argument('--num-channels', type=int, default=4, help='single channels to show (default: 4)')
    for side in 'ab':
        parser.add_argument(f'--channels-{side}', type=int, nargs='+', metavar='CHANNEL',
                            help=f'channels of network {side.upper()} to show instead, from 0')
    parser.add_argument('--image-size', type=int, nargs=2, default=(128, 64), metavar=('HEIGHT', 'WIDTH'),
                        help='size of an image in the picture (default: 128 64)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the drawn images')
    args = parser.parse_args(argv)
    if args.num_channels < 0:
        parser.error(f'--num-channels must not be negative, got {args.num_channels}')
    return args


def load_network(name: str, config: str, checkpoint: str) -> Network:
    """Build the backbone of a config and read its weights.

    Raises:
        ConfigError: If the config has no model with a backbone or no pipeline for testing.
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the checkpoint does not fit the backbone.
    """
    cfg = load_config(config)
    if not cfg.get('model') or 'backbone' not in cfg.model:
        raise ConfigError(f'{config} has no model with a backbone')
    backbone = MODELS.build(cfg.model.backbone)  # reads no weights, whatever its init_cfg
    load_pretrained(backbone, checkpoint)
    preprocessor = MODELS.build(cfg.model.get('data_preprocessor') or dict(type='ReIDDataPreprocessor'))
    return Network(name, backbone.eval(), preprocessor, Compose(_pipeline(config, cfg)))


def _pipeline(path: str, cfg: Config) -> list:
    loader = cfg.get('test_dataloader')
    if loader is None or 'pipeline' not in loader.dataset:
        raise ConfigError(f'{path} has no test_dataloader with dataset.pipeline, which prepares the images')
    return loader.dataset.pipeline


def read_images(args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Images by the label of their row, BGR."""
    if args.images:
        return {f'{number}: {Path(path).name}': read_image(path) for number, path in enumerate(args.images, start=1)}
    drawn = SyntheticReID(num_train_pids=2, num_cams=2, num_images=1, seed=args.seed, cache=False)
    return {f'pid {drawn.get_pids()[row]} cam {drawn.get_camids()[row]}': drawn.get_image(row)
            for row in range(len(drawn))}


@torch.inference_mode()
def first_responses(network: Network, image: np.ndarray) -> np.ndarray:
    """Responses ``(C, h, w)`` of the first convolution to an image, not negative.

    "First" is the first one that runs, whatever the backbone calls it.

    Raises:
        ValueError: If no convolution runs.
    """
    found: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        is_conv = isinstance(module, nn.Conv2d)
        if is_conv and not found or not is_conv and len(found) == 1 and inputs[0] is found[0]:
            found.append(output)

    hooks = [module.register_forward_hook(keep) for module in network.backbone.modules()
             if isinstance(module, (nn.Conv2d, _BatchNorm))]
    try:
        packed = network.pipeline(dict(img=image.copy(), img_path='', pid=0, camid=0, split='query'))
        network.backbone(network.preprocessor(dict(inputs=[packed['inputs']]))['inputs'])
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise ValueError(f'no convolution ran in the backbone of {network.name}, {type(network.backbone).__name__}')
    return found[-1][0].relu().float().numpy()  # where ReLU worked in place, once more changes nothing


def choose_channels(responses: list[np.ndarray], number: int) -> list[int]:
    """Channels with the greatest standard deviation over the places of an image, averaged over the images."""
    spread = np.mean([maps.std(axis=(1, 2)) for maps in responses], axis=0)
    return np.argsort(-spread, kind='stable')[:number].tolist()


def check_channels(name: str, channels: list[int], there: int) -> list[int]:
    """Return the channels if all are there.

    Raises:
        ValueError: If one is not.
    """
    wrong = [channel for channel in channels if not 0 <= channel < there]
    if wrong:
        raise ValueError(f'the first convolution of {name} has channels 0 to {there - 1}, got {wrong}')
    return channels


def coloured(maps: list[np.ndarray], images: list[np.ndarray]) -> list[np.ndarray]:
    """Maps of one column ``(h, w)`` in one scale of colours, each of the size of its image."""
    top = max(float(values.max()) for values in maps)
    pictures = []
    for values, image in zip(maps, images, strict=True):
        level = np.round(255 * values / top if top > 0 else 0 * values).astype(np.uint8)
        level = cv2.resize(level, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        pictures.append(cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS))
    return pictures


def columns_of(network: Network, images: list[np.ndarray], channels: list[int] | None,
               number: int) -> dict[str, list[np.ndarray]]:
    """Columns of a network by label: the mean over the channels and single channels."""
    responses = [first_responses(network, image) for image in images]
    channels = choose_channels(responses, number) if channels is None else check_channels(
        network.name, channels, len(responses[0]))
    columns = {f'{network.name} mean': coloured([maps.mean(axis=0) for maps in responses], images)}
    for channel in channels:
        columns[f'{network.name} {channel}'] = coloured([maps[channel] for maps in responses], images)
    say(f'{network.name}: {type(network.backbone).__name__}, {len(responses[0])} channels of '
        f'{" x ".join(map(str, responses[0].shape[1:]))} (height x width), shown: {channels}')
    return columns


def main(argv=None) -> None:
    """Load, draw and write."""
    args = parse_args(argv)
    init_default_scope('mmreid')
    with plain_errors():
        if args.names[0] == args.names[1]:
            raise ValueError(f'--names must be two names, got {args.names[0]!r} twice')
        out = check_output(args.out, ('.png', ), '--out', args.images)
        named = read_images(args)
        images = list(named.values())
        columns = {'image': images}
        for side, name in zip('ab', args.names):
            network = load_network(name, getattr(args, f'config_{side}'), getattr(args, f'checkpoint_{side}'))
            columns.update(columns_of(network, images, getattr(args, f'channels_{side}'), args.num_channels))
        cells = {(row, column): [picture] for column, pictures in enumerate(columns.values())
                 for row, picture in enumerate(pictures)}
        sheet = contact_sheet(cells, list(named), list(columns), image_size=tuple(args.image_size))
        out.write_bytes(cv2.imencode('.png', sheet)[1].tobytes())  # cv2.imwrite cannot write every path
        say(f'written: {out}')


if __name__ == '__main__':
    main()
