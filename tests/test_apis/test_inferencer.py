"""Features from images: those of tools/test.py."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from mmreid.apis import ImageFeatures, ReIDInferencer
from mmreid.datasets.image_io import read_image
from mmreid.registry import INFERENCERS
from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.config import ConfigError, load_config
from tests.tool_runs import run_tool

from .toy_files import write_checkpoint, write_config

TTA = """
tta = dict(flip=dict(model=dict(type='ReIDTTAModel', views='flip')),
           ten_crop=dict(model=dict(type='ReIDTTAModel', views='ten_crop'), enlarge=1.125))
"""


def dumped(toy, folder, *options):
    """Paths and features of tools/test.py --dump, in the order of the dataset."""
    done = run_tool('test', toy.config, toy.checkpoint, '--work-dir', folder, '--dump', folder / 'f.npz', *options)
    assert done.returncode == 0, done.stderr
    file = np.load(folder / 'f.npz')
    paths, rows, feats = (np.concatenate([file[f'{split}_{key}'] for split in ('query', 'gallery')])
                          for key in ('paths', 'sample_idx', 'feats'))
    order = rows.argsort()
    return paths[order].tolist(), feats[order]


@pytest.mark.parametrize('options, arguments', [
    ((), {}),
    (('--tta', 'flip'), dict(tta='flip')),
    (('--tta', 'ten_crop'), dict(tta='ten_crop')),
    (('--cfg-options', 'test_cfg.fp16=True'), dict(amp=True)),
    (('--cfg-options', 'test_cfg.fp16=True'), dict(cfg_options={'test_cfg.fp16': True})),
    (('--cfg-options', 'model.data_preprocessor.bgr_to_rgb=False'),
     dict(cfg_options={'model.data_preprocessor.bgr_to_rgb': False})),
], ids=['plain', 'flip', 'ten_crop', 'amp', 'fp16 of the config', 'option'])
def test_features_are_those_of_the_test_tool(tmp_path, toy, options, arguments):
    if 'tta' in arguments:
        toy.config.write_text(toy.config.read_text() + ('' if 'tta = ' in toy.config.read_text() else TTA))
    paths, feats = dumped(toy, tmp_path, *options)
    assert len(paths) == 22 and len(np.unique(feats, axis=0)) == 22
    found = ReIDInferencer(toy.config, toy.checkpoint, device='cpu', batch_size=8, **arguments).extract(paths)
    assert found.feats.dtype == np.float32 and (found.feats == feats).all()
    assert found.paths == paths and found.unreadable == ()


def test_the_default_tta_of_a_config_is_used_and_can_be_switched_off(tmp_path, toy):
    config = write_config(tmp_path / 'default.py', toy.images, TTA + "tta['default'] = 'flip'\n")
    image = toy.images / 'query'
    plain, flipped = (ReIDInferencer(toy.config, toy.checkpoint, 'cpu').extract(image).feats,
                      ReIDInferencer(config, toy.checkpoint, 'cpu').extract(image).feats)
    assert np.abs(plain - flipped).max() > 1e-3
    assert (ReIDInferencer(config, toy.checkpoint, 'cpu', tta='none').extract(image).feats == plain).all()


def test_folders_files_and_pixels_give_the_same(toy, inferencer):
    folder = inferencer.extract(toy.images / 'query')
    files = sorted(map(str, (toy.images / 'query').glob('*.jpg')))
    assert folder.paths == files and len(files) == 8
    pixels = [read_image(path) for path in files]
    for images in (files, map(str, files), pixels, np.stack(pixels), [files[0], *pixels[1:]], [toy.images / 'query']):
        assert (inferencer.extract(images).feats == folder.feats).all()
    assert inferencer.extract([files[0], pixels[1]]).paths == [files[0], 'array:1']
    assert (pixels[0] == read_image(files[0])).all(), 'pixels are not written into'
    for one in (files[3], pixels[3]):
        assert np.abs(inferencer.extract(one).feats - folder.feats[3:4]).max() < 1e-6
    assert (inferencer.extract(files, num_workers=2).feats == folder.feats).all()
    assert (np.asarray(folder) == folder.feats).all() and np.asarray(folder) is folder.feats


def test_a_folder_is_searched_at_any_depth_in_order(tmp_path, toy, inferencer):
    files = sorted((toy.images / 'query').glob('*.jpg'))
    for name in ('b/2/x.jpg', 'b/1/z.JPG', 'a.jpg', 'query/y.png', 'gallery/w.jpg', 'odd/q.jpg', '.hidden/h.jpg'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files[0], tmp_path / name)
    (tmp_path / 'notes.txt').write_text('no image')
    found = inferencer.extract(tmp_path).paths
    assert found == [str(tmp_path / name) for name in
                     ('a.jpg', 'b/1/z.JPG', 'b/2/x.jpg', 'gallery/w.jpg', 'odd/q.jpg', 'query/y.png')]


def test_unreadable_files_are_listed_or_left_out(tmp_path, toy, inferencer):
    good = sorted(map(str, (toy.images / 'query').glob('*.jpg')))[:5]
    empty, cut, text = (tmp_path / name for name in ('empty.jpg', 'cut.jpg', 'text.png'))
    empty.touch()
    cut.write_bytes(open(good[0], 'rb').read()[:-40])
    text.write_text('text')
    images = [str(empty), *good[:3], str(cut), *good[3:], str(text), str(tmp_path / 'gone.jpg')]
    with pytest.raises(ValueError) as caught:
        inferencer.extract(images)
    lines = str(caught.value).splitlines()
    assert lines[0] == ('4 of 9 images cannot be read (skip_unreadable=True, on the command line --skip-unreadable, '
                        'leaves them out):')
    for line, path, reason in zip(lines[1:], (empty, cut, text, tmp_path / 'gone.jpg'),
                                  ('is empty', 'is truncated', 'cannot be decoded', 'No such file'), strict=True):
        assert str(path) in line and reason in line
    found = inferencer.extract(images, num_workers=2, skip_unreadable=True)
    assert found.paths == good and [item.path for item in found.unreadable] == [str(empty), str(cut), str(text),
                                                                               str(tmp_path / 'gone.jpg')]
    assert np.abs(found.feats - inferencer.extract(good).feats).max() < 1e-6
    with pytest.raises(ValueError, match='1 of 1 images'):
        inferencer.extract([empty], skip_unreadable=True)


@pytest.mark.parametrize('images, error, message', [
    ([], ValueError, 'the list is empty'),
    ('nowhere', FileNotFoundError, 'there is no image and no folder "nowhere"'),
    (7, TypeError, 'int'),
    ([7], TypeError, 'folders, files or arrays .* got int'),
    (np.zeros((4, 4, 3)), TypeError, r'uint8 of shape \(H, W, 3\) in BGR order, got float64 \(4, 4, 3\)'),
    (np.zeros((4, 4), np.uint8), TypeError, r'got uint8 \(4, 4\)'),
    ([np.zeros((0, 4, 3), np.uint8)], TypeError, r'got uint8 \(0, 4, 3\)'),
])
def test_what_is_no_image_is_refused(inferencer, images, error, message):
    with pytest.raises(error, match=message):
        inferencer.extract(images)


def test_an_empty_folder_is_refused(tmp_path, inferencer):
    with pytest.raises(FileNotFoundError, match='there is no image below the folder'):
        inferencer.extract(tmp_path)
    (tmp_path / 'a.webp').touch()
    with pytest.raises(FileNotFoundError, match='1 images of other formats, such as "a.webp"'):
        inferencer.extract(tmp_path)


@pytest.mark.parametrize('num_classes', [None, 3, 751])
def test_the_number_of_classes_does_not_matter(toy, inferencer, num_classes):
    other = ReIDInferencer(toy.config, toy.checkpoint, 'cpu', batch_size=8,
                           cfg_options={'model.heads.id.num_classes': num_classes})
    images = toy.images / 'query'
    assert (other.extract(images).feats == inferencer.extract(images).feats).all()
    assert not [name for name, _ in other.model.named_parameters() if name.startswith('heads')]


def test_a_student_needs_no_teacher(toy, inferencer):
    options = {'model.type': 'DistillationNet', 'model.teacher': dict(checkpoint='nowhere.pth')}
    student = ReIDInferencer(toy.config, toy.checkpoint, 'cpu', batch_size=8, cfg_options=options)
    images = toy.images / 'query'
    assert (student.extract(images).feats == inferencer.extract(images).feats).all()


def test_a_config_object_is_not_changed(toy, inferencer):
    cfg = load_config(str(toy.config))
    before = cfg.to_dict()
    found = ReIDInferencer(cfg, toy.checkpoint, 'cpu', batch_size=8)
    assert cfg.to_dict() == before
    images = toy.images / 'query'
    assert (found.extract(images).feats == inferencer.extract(images).feats).all()


def test_weights_of_a_data_parallel_training_are_read(tmp_path, toy, inferencer):
    state = torch.load(toy.checkpoint)['state_dict']
    torch.save({f'module.{key}': value for key, value in state.items()}, tmp_path / 'bare.pth')
    found = ReIDInferencer(toy.config, tmp_path / 'bare.pth', 'cpu', batch_size=8)
    images = toy.images / 'query'
    assert (found.extract(images).feats == inferencer.extract(images).feats).all()


def test_mistakes_are_named(tmp_path, toy):
    with pytest.raises(CheckpointError, match='nowhere.pth does not exist'):
        ReIDInferencer(toy.config, 'nowhere.pth')
    torch.save(dict(state_dict={'backbone.other': torch.zeros(1)}), tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match='does not fit this EmbeddingNet'):
        ReIDInferencer(toy.config, tmp_path / 'other.pth')
    with pytest.raises(ConfigError, match='nowhere.py does not exist'):
        ReIDInferencer('nowhere.py', toy.checkpoint)
    with pytest.raises(ConfigError, match='no test-time augmentation "twice"'):
        ReIDInferencer(toy.config, toy.checkpoint, tta='twice')
    with pytest.raises(ValueError, match='the device must be cpu'):
        ReIDInferencer(toy.config, toy.checkpoint, device='tpu')
    with pytest.raises(ValueError, match='batch_size must be at least 1, got 0'):
        ReIDInferencer(toy.config, toy.checkpoint, batch_size=0)
    (tmp_path / 'empty.py').write_text('a = 1')
    with pytest.raises(ConfigError, match='no entry "model"'):
        ReIDInferencer(tmp_path / 'empty.py', toy.checkpoint)


def test_features_that_are_not_finite_are_named(tmp_path, toy):
    path = write_checkpoint(tmp_path / 'nan.pth')
    checkpoint = torch.load(path)
    checkpoint['state_dict']['backbone.stage.0.bias'][:] = torch.nan
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match='the features of 8 of 8 images are NaN or infinite: .*query.*jpg'):
        ReIDInferencer(toy.config, path, 'cpu').extract(toy.images / 'query')


def test_images_of_any_size_and_kind(tmp_path, inferencer):
    rng = np.random.default_rng(0)
    for name, shape in (('tall.png', (90, 20, 3)), ('wide.jpg', (10, 64, 3)), ('grey.png', (30, 30)),
                        ('clear.png', (30, 30, 4))):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 255, shape, np.uint8))
    assert inferencer.extract(tmp_path).feats.shape == (4, 16)


def test_beside_another_package(toy, inferencer):
    """A detector of the same process has set its own scope."""
    files = toy.images / 'query'
    expected = inferencer.extract(files).feats
    DefaultScope.get_instance('detector', scope_name='mmpretrain')
    try:
        assert (inferencer.extract(files).feats == expected).all()
    finally:
        DefaultScope._instance_dict.pop('detector')


def test_it_is_registered(toy):
    found = INFERENCERS.build(dict(type='ReIDInferencer', config=toy.config, checkpoint=toy.checkpoint, device='cpu'))
    assert isinstance(found, ReIDInferencer) and isinstance(found.extract(toy.images / 'query'), ImageFeatures)
