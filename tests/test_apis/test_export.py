"""tools/model_converters/export.py: the file gives the features of the inferencer."""

import importlib.util
import inspect
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmreid.apis import ReIDInferencer
from mmreid.datasets.image_io import read_image
from tests.tool_runs import run_tool

ROOT = Path(__file__).parents[2]


def prepared(paths, rgb):
    """Images as whoever uses the file prepares them: resized, float32, channels first."""
    images = [cv2.resize(read_image(path), (16, 32)) for path in paths]
    images = [image[..., ::-1] if rgb else image for image in images]
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), dtype=np.float32)


@pytest.fixture(scope='module')
def files(toy):
    return sorted(map(str, (toy.images / 'query').glob('*.jpg')))


def run(toy, out, *arguments):
    return run_tool('model_converters/export', toy.config, toy.checkpoint, out, *arguments)


@pytest.mark.parametrize('rgb, turned', [(False, True), (True, False)])
def test_torch_export(tmp_path, toy, files, rgb, turned):
    option = {'model.data_preprocessor.bgr_to_rgb': turned}
    given = (*(['--rgb'] if rgb else []), '--cfg-options', f'model.data_preprocessor.bgr_to_rgb={turned}')
    name = tmp_path / ('m.PT2' if rgb else 'm.pt2')
    done = run(toy, name, *given)
    assert done.returncode == 0, done.stderr
    assert f'images (N, 3, 32, 16) float32, 0 to 255, {"RGB" if rgb else "BGR"} -> features (N, 16)' in done.stdout
    expected = ReIDInferencer(toy.config, toy.checkpoint, 'cpu', cfg_options=option).extract(files).feats
    module = torch.export.load(name).module()
    images = torch.from_numpy(prepared(files, rgb))
    for rows in (slice(0, 1), slice(0, 5), slice(None)):
        assert np.abs(module(images[rows]).detach().numpy() - expected[rows]).max() < 1e-5


def test_onnx(tmp_path, toy, files):
    pytest.importorskip('onnxscript')
    onnxruntime = pytest.importorskip('onnxruntime')
    if 'external_data' not in inspect.signature(torch.onnx.export).parameters:
        pytest.skip('the exporter of this torch is an older one')
    done = run(toy, tmp_path / 'm.onnx')
    assert done.returncode == 0, done.stderr
    assert 'read back: differs' in done.stdout
    expected = ReIDInferencer(toy.config, toy.checkpoint, 'cpu').extract(files).feats
    session = onnxruntime.InferenceSession(str(tmp_path / 'm.onnx'))
    for count in (1, 8):
        found, = session.run(['features'], {'images': prepared(files[:count], False)})
        assert np.abs(found - expected[:count]).max() < 1e-5


def test_the_older_exporter_of_onnx_is_refused(monkeypatch):
    spec = importlib.util.spec_from_file_location('export', ROOT / 'tools/model_converters/export.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(torch.onnx, 'export', lambda model, args, f, dynamo=False: None)  # as torch 2.4 has it
    with pytest.raises(ImportError, match='writing ONNX needs torch 2.5 or newer'):
        tool.export(torch.nn.Identity(), torch.zeros(1, 3, 8, 4), Path('m.onnx'))


def test_mistakes_end_with_one_clear_line(tmp_path, toy):
    (tmp_path / 'm.pt2').write_text('mine')
    for out, message in (('m.pt2', 'is there already'), ('m.pth', 'must name a file that ends in .onnx or .pt2')):
        done = run(toy, tmp_path / out)
        assert done.returncode == 1 and message in done.stderr.splitlines()[-1] and 'Traceback' not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['m.pt2'] and (tmp_path / 'm.pt2').read_text() == 'mine'


def test_a_config_that_does_not_resize_needs_a_size(tmp_path, toy):
    config = tmp_path / 'plain.py'
    config.write_text(toy.config.read_text().replace('pipeline=[pipeline[0], pipeline[1], pipeline[3]]',
                                                     'pipeline=[pipeline[0], pipeline[3]]'))
    done = run_tool('model_converters/export', config, toy.checkpoint, tmp_path / 'm.pt2')
    assert done.returncode == 1 and 'give it with --size' in done.stderr.splitlines()[-1]
    done = run_tool('model_converters/export', config, toy.checkpoint, tmp_path / 'm.pt2', '--size', '40', '24')
    assert done.returncode == 0 and 'images (N, 3, 40, 24)' in done.stdout, done.stderr
    done = run(toy, tmp_path / 'n.pt2', '--size', '40', '24')
    assert done.returncode == 1 and 'gives images of (32, 16) (height, width), not of (40, 24)' in done.stderr
