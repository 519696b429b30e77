#!/usr/bin/env python
"""Bring ImageNet weights of MobileNet (v1) from Keras or TensorFlow-Slim into the form of ``MobileNetV1``.

    python tools/model_converters/mobilenet_v1.py mobilenet_1_0_224_tf_no_top.h5 mobilenet_v1.pth
    python tools/model_converters/mobilenet_v1.py mobilenet_v1_1.0_224.npz mobilenet_v1.pth

An ``.h5`` file is what ``keras.applications.MobileNet(...).save_weights(FILE)`` writes (or ``save``, the whole model);
reading it needs h5py. An ``.npz`` file holds one array for each variable, under its name in Keras
(``conv_dw_1/depthwise_kernel``) or in a checkpoint of TensorFlow-Slim
(``MobilenetV1/Conv2d_1_depthwise/depthwise_weights``), which TensorFlow exports with

    reader = tf.train.load_checkpoint('mobilenet_v1_1.0_224.ckpt')
    names = reader.get_variable_to_shape_map()
    np.savez('mobilenet_v1_1.0_224.npz', **{name: reader.get_tensor(name) for name in names})

The classifier and what only training needs (averages, optimizer) are left out. The width follows from the arrays. Train
with the result as

    model.backbone = dict(type='MobileNetV1', init_cfg=dict(type='Pretrained', checkpoint='mobilenet_v1.pth'))
    model.data_preprocessor = dict(type='ReIDDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3)

with ``width_multiplier`` where it is not 1: the weights expect images of -1 ... 1 in RGB order, ReLU6, the padding of
TensorFlow-Slim (at even sizes also that of Keras) and an eps of 1e-3, which are the backbone's defaults.
"""

import argparse
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from mmreid.models import backbones
from mmreid.utils.checkpoint import write_checkpoint
from mmreid.utils.command_line import check_output, plain_errors

#: Layers in Keras and TensorFlow-Slim -> layers of MobileNetV1; ``{}`` is the number of a block.
LAYERS = {
    r'conv1': 'stem.conv', r'conv1_bn': 'stem.bn',
    r'conv_dw_(\d+)': 'block{}.depthwise.conv', r'conv_dw_(\d+)_bn': 'block{}.depthwise.bn',
    r'conv_pw_(\d+)': 'block{}.pointwise.conv', r'conv_pw_(\d+)_bn': 'block{}.pointwise.bn',
    r'MobilenetV1/Conv2d_0': 'stem.conv', r'MobilenetV1/Conv2d_0/BatchNorm': 'stem.bn',
    r'MobilenetV1/Conv2d_(\d+)_depthwise': 'block{}.depthwise.conv',
    r'MobilenetV1/Conv2d_(\d+)_depthwise/BatchNorm': 'block{}.depthwise.bn',
    r'MobilenetV1/Conv2d_(\d+)_pointwise': 'block{}.pointwise.conv',
    r'MobilenetV1/Conv2d_(\d+)_pointwise/BatchNorm': 'block{}.pointwise.bn',
}
#: Variables of a layer -> names in PyTorch.
VARIABLES = dict(kernel='weight', weights='weight', depthwise_kernel='weight', depthwise_weights='weight',
                 gamma='weight', beta='bias', moving_mean='running_mean', moving_variance='running_var')


def parse_args(argv=None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('weights', type=Path, help='.h5 or .npz file')
    parser.add_argument('out', help='.pth file to write')
    return parser.parse_args(argv)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a file by the names of their variables.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If h5py is needed and not installed.
        ValueError: If it is not of a kind that can be read, or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} is not there')
    if path.suffix == '.npz':
        try:
            with open(path, 'rb') as file:
                arrays = np.load(file, allow_pickle=False)
                if not isinstance(arrays, np.ndarray):
                    return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f'{path} is damaged or no file of plain arrays that np.savez wrote: {error}') from error
        raise ValueError(f'{path} holds a single array without a name (np.save), and np.savez writes one for each '
                         'variable, see --help')
    if path.suffix not in ('.h5', '.hdf5'):
        raise ValueError(f'{path} must be a file of Keras (.h5) or of arrays (.npz); checkpoints of TensorFlow are '
                         'exported as arrays first, see --help')
    try:
        import h5py
    except ImportError:
        raise ImportError(f'reading {path} needs h5py: pip install h5py. Or export the arrays as .npz where it is '
                          'installed, see --help') from None
    try:
        with h5py.File(path, 'r') as file:
            return dict(_variables(file['model_weights'] if 'model_weights' in file else file, h5py.Dataset))
    except OSError as error:
        raise ValueError(f'{path} is damaged or no HDF5 file: {error}') from error


def _variables(group: Mapping, dataset: type) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays below a layer's group, whose folders repeat the layer's name as a scope: ``conv1/conv1/kernel:0``."""
    found: list[str] = []
    group.visititems(lambda name, item: found.append(name) if isinstance(item, dataset) else None)
    for name in found:
        yield '/'.join(name.removesuffix(':0').split('/')[-2:]), np.asarray(group[name])


def convert(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """State dict of ``MobileNetV1`` from variables of Keras or TensorFlow-Slim; others are passed over."""
    state = {}
    for name, array in arrays.items():
        layer, _, variable = name.removesuffix(':0').rpartition('/')
        ours = next((_numbered(place, match) for form, place in LAYERS.items()
                     if (match := re.fullmatch(form, layer))), None)
        if ours is None or variable not in VARIABLES:
            continue
        tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        if tensor.dim() == 4:  # height, width, in, out; of a depthwise layer height, width, out, 1
            tensor = tensor.permute(2, 3, 0, 1) if 'depthwise' in variable else tensor.permute(3, 2, 0, 1)
        state[f'{ours}.{VARIABLES[variable]}'] = tensor.contiguous()
    return state


def _numbered(place: str, match: re.Match) -> str:
    return place.format(*match.groups())


def check(state: Mapping[str, torch.Tensor], source: Path) -> float:
    """Width multiplier of converted weights, after a look at every name and shape.

    Raises:
        ValueError: If they are not those of a whole MobileNet (v1).
    """
    if 'stem.conv.weight' not in state:
        raise ValueError(f'{source} has no first convolution of a MobileNet (v1), conv1/kernel in Keras and '
                         'MobilenetV1/Conv2d_0/weights in TensorFlow-Slim. MobileNetV2 and V3 have weights for '
                         'mmpretrain.MobileNetV2 and V3; files of Keras 3 (.weights.h5) are saved anew as .h5.')
    width = len(state['stem.conv.weight']) / backbones.mobilenet_v1.STEM
    backbone = backbones.MobileNetV1(width)
    expected = {key: value for key, value in backbone.state_dict().items() if not key.endswith('num_batches_tracked')}
    wrong = [f'{key} {tuple(value.shape)}' for key, value in expected.items()
             if key not in state or state[key].shape != value.shape]
    wrong += [f'{key} (too many)' for key in state if key not in expected]
    if wrong:
        raise ValueError(f'{source} is no whole MobileNet (v1) of width {width:g}: {len(wrong)} weights are missing or '
                         f'of another shape, the first is {wrong[0]}')
    bad = [key for key, value in state.items() if not value.isfinite().all()]
    if bad:
        raise ValueError(f'{source} holds numbers that are not finite, in {bad[0]}')
    return width


def main(argv=None) -> None:
    """Convert and report."""
    args = parse_args(argv)
    with plain_errors():
        out = check_output(args.out, ('.pth', ), 'OUT', taken=(args.weights, ))
        state = convert(read_arrays(args.weights))
        width = check(state, args.weights)
        write_checkpoint(dict(state_dict=state, meta=dict(source=args.weights.name, width_multiplier=width)), out)
    numbers = sum(value.numel() for value in state.values())
    print(f'{out}: {len(state)} tensors, {numbers:,} numbers, width_multiplier={width:g}')
    print("use it with data_preprocessor=dict(type='ReIDDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3)")


if __name__ == '__main__':
    main()
