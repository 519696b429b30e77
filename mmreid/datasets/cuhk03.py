"""CUHK03."""

import os.path as osp
import re

from mmreid.registry import DATASETS

from .base import SplitCount
from .cuhk03_mat import BOXES, SPLITS_FILE
from .cuhk03_splits import NewProtocol, draw_classic_parts, identity, read_classic_splits, read_new_protocol
from .data_root import DATA_ROOT_ENV, DATASETS_GUIDE, require_folders
from .named_images import NamedImageDataset
from .splits import check_split


@DATASETS.register_module()
class CUHK03(NamedImageDataset):
    """`CUHK03 <https://www.ee.cuhk.edu.hk/~xgwang/CUHK_identification.html>`_, taken out of its ``.mat``.

    Wei Li, Rui Zhao, Tong Xiao, Xiaogang Wang: *DeepReID: Deep Filter Pairing Neural Network for Person
    Re-Identification*. CVPR 2014. The 767/700 protocol: Zhun Zhong, Liang Zheng, Donglin Cao, Shaozi Li: *Re-ranking
    Person Re-identification with k-reciprocal Encoding*. CVPR 2017.

    Terms of use: those that the authors state where they hand it out (project page). The images show real people.

    Five pairs of cameras; a person is seen by one pair, at most five times by each of its cameras. Boxes were drawn by
    hand (``labeled``) or found by a detector (``detected``).

    Tree (``tools/dataset_converters/cuhk03.py`` writes the folders and the ``.json``)::

        data/cuhk03_release
        ├── images_detected                             1_001_1_01.png ...
        ├── images_labeled                              1_001_1_01.png ...
        ├── splits_classic.json                         for protocol='classic'
        ├── cuhk03_new_protocol_config_detected.mat     for protocol='new'
        └── cuhk03_new_protocol_config_labeled.mat      for protocol='new'

    A name is ``<pair>_<person>_<view>_<number>``. The identity of a record is ``1000 * pair + person`` under both
    protocols and for both boxes, its camera the view, 1 or 2: nobody is seen by two pairs, and single-shot evaluation
    drops the query's view.

    ================ ========= ========= ===========
    protocol='new'   detected  labeled   identities
    ================ ========= ========= ===========
    train            7,365     7,368     767
    query            1,400     1,400     700
    gallery          5,332     5,328     700
    ================ ========= ========= ===========

    ``protocol='classic'``: the persons of pairs 1 to 3 (1,360 of 1,467; 13,164 images detected, 13,163 labeled) in 20
    splits. 100 test identities are those of the release; 100 validation identities are drawn from the others with
    :func:`mmreid.datasets.splits.draw` (seed 0), as the release does not name them; 1,160 remain for training. All
    images of view 1 are queries, all of view 2 gallery; the other direction is not evaluated. The evaluation protocol
    ``'cuhk03'`` draws the single shots.

    Args:
        data_root (str): Folder with the above. Defaults to ``'data/cuhk03_release'``.
        split (str): ``'train'``, ``'test'`` or, with ``protocol='classic'``, ``'val'``. Defaults to ``'train'``.
        protocol (str): ``'new'`` or ``'classic'``. Defaults to ``'new'``.
        box (str): ``'detected'`` or ``'labeled'``. Defaults to ``'detected'``.
        split_id (int): Split of the classic protocol, 0 to 19. Defaults to 0.
        val (bool): Train on the validation identities, too; classic protocol. Defaults to False.
        **kwargs: See :class:`ReIDDataset`.

    Raises:
        FileNotFoundError: If a folder, a split file or an image of the split is missing, or the conversion stopped.
        ValueError: If an option does not exist or a split file is damaged.
    """

    SPLITS = dict(NamedImageDataset.SPLITS, val=('query', 'gallery'))
    PROTOCOLS = ('new', 'classic')
    #: Pairs of cameras of the classic protocol, and its number of identities by part.
    CLASSIC_PAIRS: tuple[int, ...] = (1, 2, 3)
    CLASSIC_PIDS: dict[str, int] = dict(train=1160, val=100, test=100)
    NEW_COUNTS: dict[str, dict[str, SplitCount]] = dict(
        detected=dict(train=SplitCount(7365, 767), query=SplitCount(1400, 700), gallery=SplitCount(5332, 700)),
        labeled=dict(train=SplitCount(7368, 767), query=SplitCount(1400, 700), gallery=SplitCount(5328, 700)))
    NAME_PATTERN = re.compile(r'(?P<pair>[1-5])_(?P<person>\d{3})_(?P<camid>\d)_(?P<number>\d{2})\.')
    NAME_FORM = '<pair>_<person>_<view>_<number>.png'
    CAMIDS = (1, 2)
    TREE = '\n'.join([
        '  cuhk03_release', '  ├── images_detected                            1_001_1_01.png ...',
        '  ├── images_labeled                             1_001_1_01.png ...',
        "  ├── splits_classic.json                        for protocol='classic'",
        "  ├── cuhk03_new_protocol_config_detected.mat    for protocol='new'",
        "  └── cuhk03_new_protocol_config_labeled.mat     for protocol='new'",
        '(tools/dataset_converters/cuhk03.py takes the folders and the .json out of cuhk-03.mat)'
    ])

    def __init__(self, data_root: str = 'data/cuhk03_release', split: str = 'train', *, protocol: str = 'new',
                 box: str = 'detected', split_id: int = 0, val: bool = False, **kwargs) -> None:
        for option, value, known in (('protocol', protocol, self.PROTOCOLS), ('box', box, BOXES)):
            if value not in known:
                raise ValueError(f'CUHK03: {option} must be one of {", ".join(known)}, got {value!r}')
        if protocol == 'new' and (split_id != 0 or val or split == 'val'):
            raise ValueError("CUHK03: split_id, val and split='val' belong to protocol='classic'; protocol='new' has "
                             f'one split without validation data, got split_id={split_id}, val={val}, split={split!r}')
        if val and split == 'val':
            raise ValueError("CUHK03: val=True puts the validation identities into training; split='val' has none then")
        self.protocol, self.box, self.split_id, self.val = protocol, box, split_id, val
        kwargs.setdefault('test_mode', split != 'train')
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_records(self) -> list[dict]:
        """List the images of the split, sorted by name within each part."""
        require_folders(self.data_root, [f'images_{self.box}'], dataset='CUHK03', tree=self.TREE,
                        configured=self.configured_root)
        images = self._list_images()
        return self._new_records(images) if self.protocol == 'new' else self._classic_records(images)

    def record(self, path: str, match: re.Match, **fields) -> dict:
        """Record of one image; the identity joins the pair and the person."""
        view = int(match['camid'])
        self.check_camera(view, path)
        return dict(img_path=path, pid=identity(int(match['pair']), int(match['person'])), camid=view, **fields)

    def _new_records(self, images: dict[str, dict]) -> list[dict]:
        self.PUBLISHED_COUNTS = self.NEW_COUNTS[self.box]
        path = self._require_file(f'cuhk03_new_protocol_config_{self.box}.mat',
                                  'the 767/700 split, published by the authors of the protocol')
        protocol = read_new_protocol(path)
        listed = [name for part in self.SPLITS[self.split] for name in protocol.names[part]]
        absent = sorted(name for name in listed if name not in images)
        if absent:
            raise FileNotFoundError(
                f'CUHK03: "{path}" names {len(absent):,} image(s) that are not in "{self._folder()}": '
                f'{", ".join(absent[:5])}. Is the conversion finished? tools/dataset_converters/cuhk03.py continues '
                f'it. {DATASETS_GUIDE} has more.')
        self._check_labels(path, protocol, images, listed)
        return [dict(images[name], split=part) for part in self.SPLITS[self.split]
                for name in sorted(protocol.names[part])]

    def _check_labels(self, path: str, protocol: NewProtocol, images: dict[str, dict], listed: list[str]) -> None:
        """The file's own identities and cameras must be those of the names."""
        both = {(protocol.labels[name], images[name]['pid']) for name in listed}
        same = len(both) == len({label for label, _ in both}) == len({pid for _, pid in both})
        if not same or any(protocol.views[name] != images[name]['camid'] for name in listed):
            raise ValueError(f'CUHK03: labels or camId in "{path}" contradict the names {self.NAME_FORM} of its '
                             'images; is it the published file?')

    def _classic_records(self, images: dict[str, dict]) -> list[dict]:
        path = self._require_file(SPLITS_FILE, 'the test sets of the release, written by '
                                  'tools/dataset_converters/cuhk03.py')
        splits = read_classic_splits(path)
        check_split('CUHK03', self.split_id, 0, len(splits.testsets))
        if len(images) < splits.images.get(self.box, 0):
            raise FileNotFoundError(
                f'CUHK03: "{self._folder()}" holds {len(images):,} of {splits.images[self.box]:,} images. '
                f'tools/dataset_converters/cuhk03.py writes the others. {DATASETS_GUIDE} has more.')
        parts = draw_classic_parts(splits, self.split_id, self.CLASSIC_PAIRS, self.CLASSIC_PIDS['val'])
        wanted = ('train', 'val') if self.split == 'train' and self.val else (self.split, )
        chosen = [record for _, record in sorted(images.items())
                  if parts.get(record['pid']) in wanted]
        records = [dict(record, split=part) for part in self.SPLITS[self.split] for record in chosen
                   if part == 'train' or (part == 'query') == (record['camid'] == 1)]
        num_pids = sum(self.CLASSIC_PIDS[part] for part in wanted)
        self.PUBLISHED_COUNTS = {  # numbers of images are not published by split
            part: SplitCount(sum(record['split'] == part for record in records), num_pids)
            for part in self.SPLITS[self.split]}
        return records

    def _list_images(self) -> dict[str, dict]:
        """Records of the folder by name without ending."""
        records = self.read_folder(f'images_{self.box}')
        return {osp.splitext(osp.basename(record['img_path']))[0]: record for record in records}

    def _require_file(self, name: str, what: str) -> str:
        path = osp.join(self.data_root, name)
        if not osp.isfile(path):
            raise FileNotFoundError('\n'.join([
                f'CUHK03: "{osp.abspath(path)}" does not exist; it holds {what} (data_root={self.configured_root!r}, '
                f'protocol={self.protocol!r}).', 'Expected tree:', self.TREE,
                f'{DATA_ROOT_ENV} moves the leading "data/". {DATASETS_GUIDE} says how to get the files.']))
        return path

    def _folder(self) -> str:
        return osp.abspath(osp.join(self.data_root, f'images_{self.box}'))

    def _title(self) -> str:
        split = f', split {self.split_id}' if self.protocol == 'classic' else ''
        return f'CUHK03({self.protocol}{split}, {self.box})'
