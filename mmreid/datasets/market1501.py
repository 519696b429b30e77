"""Market-1501."""

import logging
import os
import os.path as osp
import re

from mmengine.logging import print_log

from mmreid.registry import DATASETS

from .base import JUNK_PID, ReIDDataset, SplitCount
from .data_root import require_folders
from .image_io import IMAGE_SUFFIXES


@DATASETS.register_module()
class Market1501(ReIDDataset):
    """`Market-1501 <https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html>`_.

    Liang Zheng, Liyue Shen, Lu Tian, Shengjin Wang, Jingdong Wang, Qi Tian: *Scalable Person Re-identification: A
    Benchmark*. ICCV 2015.

    Terms of use: for research only; it may not be distributed or used commercially (the dataset's ``readme.txt``). The
    images show real people.

    Tree::

        data/Market-1501-v15.09.15
        ├── bounding_box_train    0002_c1s1_000451_03.jpg ...
        ├── query                 0001_c1s1_001051_00.jpg ...
        └── bounding_box_test     -1_c1s1_000401_03.jpg, 0000_c1s1_000151_01.jpg, 0001_c1s1_001051_03.jpg ...

    A name is ``<identity>_c<camera>s<sequence>_<frame>_<box>``; identity -1 is junk (a wrong detection), 0 a
    distractor. Other files (``Thumbs.db``) are ignored, images with another name are skipped with a warning.

    ======= ======= ===========
    part    images  identities
    ======= ======= ===========
    train   12,936  751
    query   3,368   750
    gallery 19,732  750 (and 3,819 images of junk, 2,798 of distractors)
    ======= ======= ===========

    Args:
        data_root (str): Folder with the three folders. Defaults to ``'data/Market-1501-v15.09.15'``.
        split (str): ``'train'`` or ``'test'`` (query and gallery). Defaults to ``'train'``.
        **kwargs: See :class:`ReIDDataset`.
    """

    #: Folder of each record split.
    FOLDERS: dict[str, str] = dict(train='bounding_box_train', query='query', gallery='bounding_box_test')
    NAME_PATTERN = re.compile(r'(?P<pid>-?\d+)_c(?P<camid>\d+)s\d+_')
    NON_IDENTITIES: tuple[int, ...] = (JUNK_PID, 0)
    PUBLISHED_COUNTS = dict(train=SplitCount(12936, 751), query=SplitCount(3368, 750), gallery=SplitCount(19732, 750))
    TREE = '\n'.join([
        '  Market-1501-v15.09.15', '  ├── bounding_box_train    0002_c1s1_000451_03.jpg ...',
        '  ├── query                 0001_c1s1_001051_00.jpg ...',
        '  └── bounding_box_test     0001_c1s1_001051_03.jpg ...'
    ])

    def __init__(self, data_root: str = 'data/Market-1501-v15.09.15', split: str = 'train', **kwargs) -> None:
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_records(self) -> list[dict]:
        """List the images of the split's folders, sorted by name within each folder."""
        parts = self.SPLITS[self.split]
        require_folders(self.data_root, [self.FOLDERS[part] for part in parts], dataset=type(self).__name__,
                        tree=self.TREE, configured=self.configured_root)
        return [record for part in parts for record in self._read_folder(part)]

    def _read_folder(self, part: str) -> list[dict]:
        folder = osp.join(self.data_root, self.FOLDERS[part])
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(IMAGE_SUFFIXES))
        parsed = [(name, self.NAME_PATTERN.match(name)) for name in names]
        strange = [name for name, match in parsed if match is None]
        if strange:
            print_log(f'{type(self).__name__}: {len(strange):,} image(s) in "{folder}" skipped, their names do not '
                      f'parse as <identity>_c<camera>s<sequence>_...: {", ".join(strange[:5])}',
                      logger='current', level=logging.WARNING)
        records = [
            dict(img_path=osp.join(folder, name), pid=int(match['pid']), camid=int(match['camid']), split=part)
            for name, match in parsed if match is not None
        ]
        if not records:
            raise FileNotFoundError(f'{type(self).__name__}: no image was found in "{osp.abspath(folder)}" '
                                    f'(data_root={self.configured_root!r})')
        return records
