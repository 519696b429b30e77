"""Market-1501."""

import re

from mmreid.registry import DATASETS

from .base import JUNK_PID, SplitCount
from .named_images import NamedImageDataset


@DATASETS.register_module()
class Market1501(NamedImageDataset):
    """`Market-1501 <https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html>`_.

    Liang Zheng, Liyue Shen, Lu Tian, Shengjin Wang, Jingdong Wang, Qi Tian: *Scalable Person Re-identification: A
    Benchmark*. ICCV 2015.

    Terms of use: for research only; it may not be distributed or used commercially (the dataset's ``readme.txt``). The
    images show real people.

    Tree::

        data/Market-1501-v15.09.15
        ├── bounding_box_train    0002_c1s1_000451_03.jpg ...
        ├── query                 0001_c1s1_001051_00.jpg ...
        ├── bounding_box_test     -1_c1s1_000401_03.jpg, 0000_c1s1_000151_01.jpg, 0001_c1s1_001051_03.jpg ...
        └── gt_bbox               0001_c1s1_001051_00.jpg ... (for multi_query=True only)

    A name is ``<identity>_c<camera>s<sequence>_<frame>_<box>``; identity -1 is junk (a wrong detection), 0 a
    distractor. Other files (``Thumbs.db``) are ignored, images with another name are skipped with a warning.

    =========== ======= ===========
    part        images  identities
    =========== ======= ===========
    train       12,936  751
    query       3,368   750
    gallery     19,732  750 (and 3,819 images of junk, 2,798 of distractors)
    multi_query 12,688  750 (of the 25,259 in ``gt_bbox`` those of a query's identity and camera)
    =========== ======= ===========

    Args:
        data_root (str): Folder with the three folders. Defaults to ``'data/Market-1501-v15.09.15'``.
        split (str): ``'train'`` or ``'test'`` (query and gallery). Defaults to ``'train'``.
        multi_query (bool): For the test split: also read the hand-drawn boxes of ``gt_bbox`` that show the identity
            of a query in the camera of that query, as split ``'multi_query'``. Defaults to False.
        **kwargs: See :class:`ReIDDataset`. With ``check_counts=False``, for other data in this layout, any camera may
            be named; otherwise there are the cameras 1 to 6.
    """

    #: Folder of each record split.
    FOLDERS: dict[str, str] = dict(train='bounding_box_train', query='query', gallery='bounding_box_test')
    #: Folder of the hand-drawn boxes, from which multi-query images are taken.
    MULTI_QUERY_FOLDER = 'gt_bbox'
    NAME_PATTERN = re.compile(r'(?P<pid>-?\d+)_c(?P<camid>\d+)s\d+_')
    NAME_FORM = '<identity>_c<camera>s<sequence>_...'
    NON_IDENTITIES: tuple[int, ...] = (JUNK_PID, 0)
    PUBLISHED_COUNTS = dict(train=SplitCount(12936, 751), query=SplitCount(3368, 750), gallery=SplitCount(19732, 750))
    TREE = '\n'.join([
        '  Market-1501-v15.09.15', '  ├── bounding_box_train    0002_c1s1_000451_03.jpg ...',
        '  ├── query                 0001_c1s1_001051_00.jpg ...',
        '  ├── bounding_box_test     0001_c1s1_001051_03.jpg ...',
        '  └── gt_bbox               0001_c1s1_001051_00.jpg ... (for multi_query=True only)'
    ])

    def __init__(self, data_root: str = 'data/Market-1501-v15.09.15', split: str = 'train', *,
                 multi_query: bool = False, **kwargs) -> None:
        if multi_query and split != 'test':
            raise ValueError(f'{type(self).__name__}: multi_query=True belongs to split="test", got split={split!r}')
        self.multi_query = multi_query
        # Other data in this layout has cameras of its own.
        self.CAMIDS = range(1, 7) if kwargs.get('check_counts', True) else None
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_records(self) -> list[dict]:
        """List the images of the split's folders, sorted by name within each folder."""
        records = super().load_records()
        return records + self._multi_query_records(records) if self.multi_query else records

    def _multi_query_records(self, records: list[dict]) -> list[dict]:
        """Images of the identity and camera of a query."""
        self.need_folders([self.MULTI_QUERY_FOLDER])
        wanted = {(record['pid'], record['camid']) for record in records if record['split'] == 'query'}
        boxes = self.read_folder(self.MULTI_QUERY_FOLDER, split='multi_query')
        return [record for record in boxes if (record['pid'], record['camid']) in wanted]
