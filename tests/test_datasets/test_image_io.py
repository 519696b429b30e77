import cv2
import numpy as np
import pytest

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
