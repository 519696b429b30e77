"""MSMT17."""

import os
import os.path as osp
import re
from collections.abc import Iterable, Iterator

from mmreid.registry import DATASETS

from .base import SplitCount
from .data_root import DATASETS_GUIDE, suggest_root
from .named_images import NamedImageDataset


@DATASETS.register_module()
class MSMT17(NamedImageDataset):
    """`MSMT17 <https://www.pkuvmc.com/publications/msmt17.html>`_, versions 1 and 2.

    Longhui Wei, Shiliang Zhang, Wen Gao, Qi Tian: *Person Transfer GAN to Bridge Domain Gap for Person
    Re-Identification*. CVPR 2018.

    Terms of use: for academic research only, after signing the release agreement of the project page; it may not be
    passed on. The images show real people; version 2 is version 1 with the faces blurred.

    Tree::

        data/MSMT17_V1                   (data/MSMT17_V2)
        ├── train                        (mask_train_v2)    0000/0000_000_01_0303morning_0008_0.jpg ...
        ├── test                         (mask_test_v2)     0000/0000_000_01_0303morning_0015_0.jpg ...
        ├── list_train.txt               0000/0000_000_01_0303morning_0008_0.jpg 0
        ├── list_val.txt
        ├── list_query.txt
        └── list_gallery.txt

    The version is found by its folders. The lists are the truth: a line is the path of an image within ``train`` or
    ``test`` and its identity, counted from 0 in both (identity 0 of the test is somebody else). The camera, 1 to 15, is
    the third field of the name. ``list_val.txt`` holds further images of the training identities, which some papers
    train on and others do not: ``train_on`` decides, and the summary says so.

    ========= ======= ==========
    part      images  identities
    ========= ======= ==========
    train     30,248  1,041
    train+val 32,621  1,041
    query     11,659  3,060
    gallery   82,161  3,060
    ========= ======= ==========

    Args:
        data_root (str): Folder with the lists. Defaults to ``'data/MSMT17_V1'``.
        split (str): ``'train'`` or ``'test'`` (query and gallery). Defaults to ``'train'``.
        train_on (str): ``'train'``, or ``'train+val'`` for the images of both lists. Defaults to ``'train'``.
        **kwargs: See :class:`ReIDDataset`.

    Raises:
        FileNotFoundError: If a folder or a list is missing, or if a list names images that are not there.
        ValueError: If ``train_on`` is unknown, a line of a list cannot be parsed or holds a camera other than 1 to 15.
    """

    NUMBERED_PER_SPLIT = True
    #: Folder of the training and of the test images, by version.
    VERSIONS = dict(V1=dict(train='train', test='test'), V2=dict(train='mask_train_v2', test='mask_test_v2'))
    #: Published size of the training split, by what it is made of.
    TRAIN_COUNTS = {'train': SplitCount(30248, 1041), 'train+val': SplitCount(32621, 1041)}
    TEST_COUNTS = dict(query=SplitCount(11659, 3060), gallery=SplitCount(82161, 3060))
    NAME_PATTERN = re.compile(r'[^_/]+_[^_/]+_(?P<camid>\d+)_[^/]*$')
    NAME_FORM = '<identity>_<track>_<camera>_<time>_<frame>_<box>'
    CAMIDS = range(1, 16)
    TREE = '\n'.join([
        '  MSMT17_V1              (MSMT17_V2)',
        '  ├── train              (mask_train_v2)    0000/0000_000_01_0303morning_0008_0.jpg ...',
        '  ├── test               (mask_test_v2)     0000/0000_000_01_0303morning_0015_0.jpg ...',
        '  ├── list_train.txt     0000/0000_000_01_0303morning_0008_0.jpg 0',
        '  ├── list_val.txt', '  ├── list_query.txt', '  └── list_gallery.txt'
    ])

    def __init__(self, data_root: str = 'data/MSMT17_V1', split: str = 'train', *, train_on: str = 'train',
                 **kwargs) -> None:
        if train_on not in self.TRAIN_COUNTS:
            raise ValueError(f'{type(self).__name__}: train_on must be one of {", ".join(self.TRAIN_COUNTS)}, '
                             f'got {train_on!r}')
        self.train_on = train_on
        self.version = ''
        self.PUBLISHED_COUNTS = dict(self.TEST_COUNTS, train=self.TRAIN_COUNTS[train_on])
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_records(self) -> list[dict]:
        """List the images in the order of the lists."""
        self.version = self._find_version()
        folder = self.VERSIONS[self.version][self.split]
        self.need_folders([folder])
        parts = self.train_on.split('+') if self.split == 'train' else self.SPLITS['test']
        records = []
        for part in parts:
            listed = self._read_list(part, osp.join(self.data_root, folder))
            records += [dict(record, split=self.split if self.split == 'train' else part) for record in listed]
        return records

    def _find_version(self) -> str:
        wanted = {version: folders[self.split] for version, folders in self.VERSIONS.items()}
        for version, folder in wanted.items():
            if osp.isdir(osp.join(self.data_root, folder)):
                return version
        # Neither is here: complain about the one that lies nearby.
        return next((version for version, folder in wanted.items() if suggest_root(self.data_root, [folder])), 'V1')

    def _read_list(self, part: str, folder: str) -> list[dict]:
        path = osp.join(self.data_root, f'list_{part}.txt')
        if not osp.isfile(path):
            raise FileNotFoundError(f'{self._name()}: the list "{osp.abspath(path)}" is missing (data_root='
                                    f'{self.configured_root!r}). Expected tree:\n{self.TREE}\n{DATASETS_GUIDE} says '
                                    'how to get the dataset.')
        with open(path, encoding='utf-8') as file:
            entries = [self._parse_line(line, f'"{path}", line {number}') for number, line in enumerate(file, 1)
                       if line.strip()]
        if not entries:
            raise ValueError(f'{self._name()}: the list "{osp.abspath(path)}" is empty; expected lines such as '
                             '"0000/0000_000_01_0303morning_0008_0.jpg 0"')
        self._check_images(path, folder, [name for name, _, _ in entries])
        return [dict(img_path=f'{folder}{os.sep}{name}', pid=pid, camid=camid) for name, pid, camid in entries]

    def _parse_line(self, line: str, where: str) -> tuple[str, int, int]:
        name, _, pid = line.strip().rpartition(' ')
        match = self.NAME_PATTERN.match(name.rpartition('/')[2])
        if match is None or not pid.isdecimal():
            raise ValueError(f'{self._name()}: {where}: cannot parse {line.strip()!r}; expected the path of an image '
                             f'({self.NAME_FORM}), a space and an identity')
        camid = int(match['camid'])
        self.check_camera(camid, where)
        return name, int(pid), camid

    def _check_images(self, path: str, folder: str, names: list[str]) -> None:
        """Compare with what is there: one look at each identity's folder instead of one at each image."""
        there = set(_list_subfolders(folder, {name.rpartition('/')[0] for name in names}))
        missing = [name for name in names if name not in there]
        if missing:
            raise FileNotFoundError(f'{self._name()}: {len(missing):,} of the {len(names):,} images in "{path}" are '
                                    f'not in "{osp.abspath(folder)}": {", ".join(missing[:5])}'
                                    f'{", ..." if len(missing) > 5 else ""}. Was the archive unpacked completely? '
                                    f'{DATASETS_GUIDE} describes the dataset.')

    def _title(self) -> str:
        title = f'{type(self).__name__} {self.version}'.strip()
        return f'{title}, trained on {self.train_on}' if self.split == 'train' else title


def _list_subfolders(folder: str, subfolders: Iterable[str]) -> Iterator[str]:
    """Paths within the folder of all that lies in its subfolders; those that do not exist have none."""
    for subfolder in subfolders:
        place = osp.join(folder, subfolder)
        if osp.isdir(place):
            yield from (f'{subfolder}/{name}' if subfolder else name for name in os.listdir(place))
