"""VIPeR."""

import re

from mmreid.registry import DATASETS

from .base import SplitCount
from .two_views import TwoViewDataset


@DATASETS.register_module()
class VIPeR(TwoViewDataset):
    """`VIPeR <https://vision.soe.ucsc.edu/node/178>`_.

    Douglas Gray, Shane Brennan, Hai Tao: *Evaluating Appearance Models for Recognition, Reacquisition, and Tracking*.
    PETS 2007.

    Terms of use: offered for research; no licence is known to come with the files. The images show real people.

    Tree::

        data/VIPeR
        ├── cam_a    000_45.bmp, 001_45.bmp ... 873_0.bmp
        └── cam_b    000_45.bmp, 001_90.bmp ... 873_180.bmp

    A name is ``<identity>_<angle in degrees>``; the 632 identities are numbered from 0 to 873 with gaps. Each has one
    image in each view: ``cam_a`` is camera 1, ``cam_b`` camera 2. Half of them, 316, are trained on, drawn anew for
    each of the ten splits; published lists of splits differ, so do the digits of single splits.

    ======= ====== ==========
    part    images identities
    ======= ====== ==========
    train   632    316
    query   316    316
    gallery 316    316
    ======= ====== ==========

    Args:
        data_root (str): Folder with the two folders. Defaults to ``'data/VIPeR'``.
        split (str): ``'train'`` or ``'test'`` (query and gallery). Defaults to ``'train'``.
        **kwargs: ``split_id`` (0 to 9) and ``seed``, see :class:`TwoViewDataset`; the others see
            :class:`ReIDDataset`.
    """

    VIEWS = {'cam_a': 1, 'cam_b': 2}
    NAME_PATTERN = re.compile(r'(?P<pid>\d+)_\d+\.\w+$')
    NAME_FORM = '<identity>_<angle>'
    PUBLISHED_COUNTS = dict(train=SplitCount(632, 316), query=SplitCount(316, 316), gallery=SplitCount(316, 316))
    TREE = '\n'.join(['  VIPeR', '  ├── cam_a    000_45.bmp ...', '  └── cam_b    000_45.bmp ...'])

    def __init__(self, data_root: str = 'data/VIPeR', split: str = 'train', **kwargs) -> None:
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_images(self) -> list[dict]:
        """List the images of both folders, sorted by name within each."""
        self.need_folders(self.VIEWS)
        return [image for folder, view in self.VIEWS.items() for image in self.read_folder(folder, camid=view)]
