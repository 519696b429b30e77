"""Weights of Keras and TensorFlow-Slim in MobileNetV1, against a network computed by loops in their layout."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmreid.models.backbones import MobileNetV1
from mmreid.utils.checkpoint import read_checkpoint
from tests.tool_runs import run_file

TOOL = Path(__file__).parents[1] / 'tools/model_converters/mobilenet_v1.py'
SPEC = importlib.util.spec_from_file_location('convert_mobilenet_v1', TOOL)
converter = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(converter)

WIDTH = 0.25
STRIDES = dict(zip(range(1, 14), [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]))
NORM = ('gamma', 'beta', 'moving_mean', 'moving_variance')


def norm(rng, channels):
    return dict(zip(NORM, (rng.uniform(0.5, 1.5, channels), rng.normal(size=channels) / 10,
                           rng.normal(size=channels) / 10, rng.uniform(0.5, 1.5, channels))))


@pytest.fixture(scope='module')
def layers():
    """Layers by Keras' names, each with its variables, in Keras' shapes; also what is to be left out."""
    rng = np.random.default_rng(0)
    made, c_in = {}, 8
    made['conv1'] = dict(kernel=rng.normal(size=(3, 3, 3, 8)) / 4)
    made['conv1_bn'] = norm(rng, 8)
    for number, width in enumerate([64, 128, 128, 256, 256, *[512] * 6, 1024, 1024], start=1):
        c_out = int(WIDTH * width)
        made[f'conv_dw_{number}'] = dict(depthwise_kernel=rng.normal(size=(3, 3, c_in, 1)) / 2)
        made[f'conv_dw_{number}_bn'] = norm(rng, c_in)
        made[f'conv_pw_{number}'] = dict(kernel=rng.normal(size=(1, 1, c_in, c_out)) * (2 / c_in)**0.5)
        made[f'conv_pw_{number}_bn'] = norm(rng, c_out)
        c_in = c_out
    made['conv_pw_13_bn']['gamma'] *= 8  # so that ReLU6 has something to cut
    made['conv_preds'] = dict(kernel=rng.normal(size=(1, 1, c_in, 10)), bias=np.zeros(10))
    return {layer: {name: value.astype(np.float32) for name, value in values.items()}
            for layer, values in made.items()}


def slim_names(layers):
    """The same arrays under the names of TensorFlow-Slim, with some of what its checkpoints hold besides."""
    arrays = {'global_step': np.array(7), 'MobilenetV1/Logits/Conv2d_1c_1x1/weights': np.zeros((1, 1, 256, 11))}
    for layer, values in layers.items():
        kind = layer.removesuffix('_bn')
        place = 'Conv2d_0' if kind == 'conv1' else None
        for short, long in (('conv_dw_', 'depthwise'), ('conv_pw_', 'pointwise')):
            if kind.startswith(short):
                place = f'Conv2d_{kind.removeprefix(short)}_{long}'
        if place is None:
            continue
        for name, value in values.items():
            name = {'kernel': 'weights', 'depthwise_kernel': 'depthwise_weights'}.get(name, f'BatchNorm/{name}')
            arrays[f'MobilenetV1/{place}/{name}'] = value
            arrays[f'MobilenetV1/{place}/{name}/ExponentialMovingAverage'] = value + 1
    return arrays


def write_h5(path, layers, group=''):
    h5py = pytest.importorskip('h5py')
    with h5py.File(path, 'w') as file:
        root = file.create_group(group) if group else file
        root.attrs['layer_names'] = [layer.encode() for layer in layers]
        root.create_group('conv1_relu').attrs['weight_names'] = []
        for layer, values in layers.items():
            for name, value in values.items():
                root.create_dataset(f'{layer}/{layer}/{name}:0', data=value)
        if group:
            file.create_dataset('optimizer_weights/conv1/kernel:0', data=np.ones(3))
    return path


def by_loops(layers, image, keras=False):
    """The network on one image (H, W, 3): convolutions as sums over places of the kernel.

    Padding is SAME everywhere (TensorFlow-Slim), or in Keras' way: SAME but for depthwise convolutions of stride 2,
    which have ZeroPadding2D(((0, 1), (0, 1))) in front and are VALID.
    """

    def normalised(x, layer):
        gamma, beta, mean, var = (layers[f'{layer}_bn'][name] for name in NORM)
        return np.clip((x - mean) / np.sqrt(var + 1e-3) * gamma + beta, 0, 6)

    def patches(x, stride, at_end=False):
        if at_end:
            x = np.pad(x, [(0, 1), (0, 1), (0, 0)])
            sizes = [(n - 3) // stride + 1 for n in x.shape[:2]]
        else:
            sizes = [-(-n // stride) for n in x.shape[:2]]
            total = [max((size - 1) * stride + 3 - n, 0) for size, n in zip(sizes, x.shape[:2])]
            x = np.pad(x, [*[(t // 2, t - t // 2) for t in total], (0, 0)])
        for row in range(3):
            for column in range(3):
                rows = slice(row, row + (sizes[0] - 1) * stride + 1, stride)
                columns = slice(column, column + (sizes[1] - 1) * stride + 1, stride)
                yield row, column, x[rows, columns]

    x = normalised(sum(patch @ layers['conv1']['kernel'][r, c] for r, c, patch in patches(image, 2)), 'conv1')
    for number, stride in STRIDES.items():
        kernel = layers[f'conv_dw_{number}']['depthwise_kernel'][..., 0]
        x = normalised(sum(patch * kernel[r, c] for r, c, patch in patches(x, stride, keras and stride == 2)),
                       f'conv_dw_{number}')
        x = normalised(x @ layers[f'conv_pw_{number}']['kernel'][0, 0], f'conv_pw_{number}')
    return x


def converted(source, folder):
    out = folder / 'out.pth'
    converter.main([str(source), str(out)])
    backbone = MobileNetV1(WIDTH, init_cfg=dict(type='Pretrained', checkpoint=str(out)))
    backbone.init_weights()
    return backbone.eval()


@pytest.mark.parametrize('kind, size', [
    ('weights.h5', (64, 32)), ('model.h5', (64, 32)), ('keras.npz', (64, 32)), ('slim.npz', (64, 32)),
    ('slim.npz', (45, 33))])
def test_the_network_computes_what_keras_or_slim_would(tmp_path, layers, kind, size):
    """Even sizes by both rules; odd ones by that of TensorFlow-Slim only."""
    source = tmp_path / kind
    if kind.endswith('.h5'):
        write_h5(source, layers, 'model_weights' if kind == 'model.h5' else '')
    elif kind == 'keras.npz':
        np.savez(source, **{f'{layer}/{name}': v for layer, values in layers.items() for name, v in values.items()})
    else:
        np.savez(source, **slim_names(layers))
    image = np.random.default_rng(1).uniform(-1, 1, (*size, 3)).astype(np.float32)
    expected = by_loops(layers, image, keras=kind != 'slim.npz')
    with torch.no_grad():
        found = converted(source, tmp_path)(torch.from_numpy(image).permute(2, 0, 1)[None])[0][0].permute(1, 2, 0)
    assert expected.shape == found.shape and expected.std() > 0.1 and (expected == 6).any()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-4)


def test_keras_pads_otherwise_at_odd_sizes(layers):
    """What the docstring of MobileNetV1 says: one smaller there, equal where every map has an even size."""
    image = np.random.default_rng(1).uniform(-1, 1, (70, 64, 3)).astype(np.float32)  # rows 35, 18 or 17, 9 or 8, ...
    slim, keras = (by_loops(layers, image, keras) for keras in (False, True))
    assert slim.shape == (3, 2, 256) and keras.shape == (2, 2, 256)
    np.testing.assert_array_equal(*(by_loops(layers, image[:64], keras) for keras in (False, True)))


def test_the_program_reports_and_writes_tensors_alone(tmp_path, layers):
    np.savez(tmp_path / 'a.npz', **slim_names(layers))
    done = run_file(TOOL, tmp_path / 'a.npz', tmp_path / 'a.pth')
    assert done.returncode == 0, done.stderr
    checkpoint = read_checkpoint(tmp_path / 'a.pth')
    assert checkpoint['meta'] == dict(source='a.npz', width_multiplier=WIDTH)
    numbers = sum(value.numel() for value in checkpoint['state_dict'].values())
    statistics = sum(v.numel() for key, v in checkpoint['state_dict'].items() if 'running' in key)
    assert numbers - statistics == sum(p.numel() for p in MobileNetV1(WIDTH).parameters())
    assert f'{numbers:,} numbers, width_multiplier=0.25' in done.stdout and 'mean=[127.5]' in done.stdout


def refused(tmp_path, name, arrays=None, content=None):
    path = tmp_path / name
    if arrays is not None:
        np.savez(path, **arrays)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit) as error:
        converter.main([str(path), str(tmp_path / 'out.pth')])
    assert not (tmp_path / 'out.pth').exists()
    return str(error.value)


def test_bad_files(tmp_path, layers):
    whole = slim_names(layers)
    part = {key: value for key, value in whole.items() if 'Conv2d_5' not in key}
    assert 'block5.depthwise.conv.weight' in refused(tmp_path, 'part.npz', part)
    wrong = dict(whole, **{'MobilenetV1/Conv2d_3_pointwise/weights': np.zeros((1, 1, 2, 2))})
    assert '1 weights' in refused(tmp_path, 'wrong.npz', wrong)
    bad = dict(whole, **{'MobilenetV1/Conv2d_0/weights': np.full((3, 3, 3, 8), np.nan)})
    assert 'not finite, in stem.conv.weight' in refused(tmp_path, 'bad.npz', bad)
    assert 'no first convolution' in refused(tmp_path, 'other.npz', dict(a=np.zeros(3)))
    assert 'is not there' in refused(tmp_path, 'gone.h5')
    assert 'no file of plain arrays' in refused(tmp_path, 'text.npz', content=b'no')
    np.savez(tmp_path / 'whole.npz', **whole)
    content = (tmp_path / 'whole.npz').read_bytes()
    flipped = bytearray(content)
    flipped[len(flipped) // 2] ^= 255
    for number, bad in enumerate([content[:n] for n in (0, 3, 100, len(content) // 2, len(content) - 5)] + [flipped]):
        message = refused(tmp_path, f'damaged{number}.npz', content=bytes(bad))
        assert 'is damaged or no file of plain arrays' in message and '\n' not in message
    np.save(tmp_path / 'one.npy', np.zeros(3))
    message = refused(tmp_path, 'one.npz', content=(tmp_path / 'one.npy').read_bytes())
    assert 'one.npz holds a single array without a name (np.save)' in message and '\n' not in message
    assert 'must be a file of Keras' in refused(tmp_path, 'model.ckpt', content=b'no')
    pytest.importorskip('h5py')
    assert 'damaged or no HDF5' in refused(tmp_path, 'text.h5', content=b'no')


def test_without_h5py_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'h5py', None)
    message = refused(tmp_path, 'a.h5', content=b'anything')
    assert 'needs h5py' in message and '.npz' in message
