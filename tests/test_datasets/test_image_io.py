import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from mmreid.datasets import ImageReadError, read_image


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 256, (128, 64, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (9, 9), 3)


@pytest.mark.parametrize('suffix', ['.png', '.bmp'])
def test_lossless_formats_are_exact(tmp_path, image, suffix):
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), image)
    assert np.array_equal(read_image(path), image)


def test_grey_image_has_three_channels(tmp_path, image):
    cv2.imwrite(str(tmp_path / 'a.jpg'), image[:, :, 0])
    assert read_image(tmp_path / 'a.jpg').shape == (128, 64, 3)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('kept', [0.0, 0.02, 0.3, 0.9, 0.999])
def test_truncated_image_is_named(tmp_path, image, suffix, kept):
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), image)
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * kept)])
    with pytest.raises(ImageReadError, match=str(path)):
        read_image(path)


def test_thumbnail_does_not_hide_truncation(tmp_path, image):
    cv2.imwrite(str(tmp_path / 'a.jpg'), image)
    data = (tmp_path / 'a.jpg').read_bytes()
    thumbnail = data[:len(data)]
    segment = b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    whole = data[:2] + segment + data[2:]
    (tmp_path / 'whole.jpg').write_bytes(whole)
    (tmp_path / 'cut.jpg').write_bytes(whole[:-200])
    assert read_image(tmp_path / 'whole.jpg').shape == image.shape
    with pytest.raises(ImageReadError, match='truncated'):
        read_image(tmp_path / 'cut.jpg')


def test_bytes_after_the_end_marker_are_fine(tmp_path, image):
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), image)
    path.write_bytes(path.read_bytes() + b'\0' * 100)
    assert read_image(path).shape == image.shape


@pytest.mark.parametrize('content', [b'', b'this is no image', b'\xff\xd8\xff\xda no jpeg \xff\xd9'])
def test_rubbish_is_named(tmp_path, content):
    path = tmp_path / 'bad.jpg'
    path.write_bytes(content)
    with pytest.raises(ImageReadError, match='bad.jpg'):
        read_image(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ImageReadError, match='none.jpg'):
        read_image(tmp_path / 'none.jpg')
    with pytest.raises(OSError):
        read_image(tmp_path)


# ---- what users' files hold, beside what Pillow makes of them ------------------------------------------------------


def as_bgr(image):
    return np.asarray(image.convert('RGB'))[:, :, ::-1]


@pytest.mark.parametrize('mode', ['L', 'LA', 'P', '1', 'RGB'])
def test_modes_of_png_become_three_channels(tmp_path, image, mode):
    Image.fromarray(image[:, :, ::-1]).convert(mode).save(tmp_path / 'a.png')
    assert np.array_equal(read_image(tmp_path / 'a.png'), as_bgr(Image.open(tmp_path / 'a.png')))


def test_transparency_is_left_out(tmp_path, image):
    alpha = np.linspace(0, 255, image.shape[0] * image.shape[1]).astype(np.uint8).reshape(image.shape[:2])
    Image.fromarray(np.dstack([image[:, :, ::-1], alpha]), 'RGBA').save(tmp_path / 'a.png')
    assert np.array_equal(read_image(tmp_path / 'a.png'), image)


@pytest.mark.parametrize('channels', [1, 3])
def test_of_16_bits_the_upper_8_are_read(tmp_path, image, channels):
    lower = np.random.default_rng(1).integers(0, 256, image.shape)
    deep = image.astype(np.uint16) * 256 + lower.astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'a.png'), deep if channels == 3 else deep[:, :, 0])
    expected = image if channels == 3 else np.repeat(image[:, :, :1], 3, axis=2)
    found = read_image(tmp_path / 'a.png')
    assert found.dtype == np.uint8 and np.abs(found.astype(int) - expected).max() <= 1  # cut or rounded


def test_cmyk_becomes_colours(tmp_path, image):
    Image.fromarray(image[:, :, ::-1]).convert('CMYK').save(tmp_path / 'a.jpg', quality=95)
    expected = as_bgr(Image.open(tmp_path / 'a.jpg'))
    assert np.abs(read_image(tmp_path / 'a.jpg').astype(int) - expected).max() <= 3


@pytest.mark.parametrize('orientation', range(1, 9))
def test_the_orientation_of_the_camera_is_applied(tmp_path, image, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(image[:, :, ::-1]).save(tmp_path / 'a.jpg', exif=exif, quality=95)
    expected = as_bgr(ImageOps.exif_transpose(Image.open(tmp_path / 'a.jpg')))
    found = read_image(tmp_path / 'a.jpg')
    assert found.shape == expected.shape == ((128, 64, 3) if orientation < 5 else (64, 128, 3))
    assert np.abs(found.astype(int) - expected).max() <= 2
