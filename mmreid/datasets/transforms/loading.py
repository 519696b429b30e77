"""Put pixels into a record."""

from mmcv.transforms import BaseTransform

from mmreid.datasets.image_io import read_image
from mmreid.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read the image of a record, unless the dataset has put its pixels there (cache, synthetic images).

    **Required keys:** ``img_path``, or ``img``. **Added keys:** ``img`` (BGR uint8, ``(H, W, 3)``), ``img_shape`` and
    ``ori_shape`` (``(H, W)``).

    Raises:
        ImageReadError: If the file is missing, empty, truncated or not an image; the message holds its path.
    """

    def transform(self, results: dict) -> dict:
        """Add the pixels."""
        if results.get('img') is None:
            results['img'] = read_image(results['img_path'])
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return 'LoadImage()'
