"""PRID 2011."""

import re

from mmreid.registry import DATASETS

from .base import SplitCount
from .two_views import TwoViewDataset


@DATASETS.register_module()
class PRID2011(TwoViewDataset):
    """`PRID 2011 <https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/PRID11/>`_, single shot.

    Martin Hirzer, Csaba Beleznai, Peter M. Roth, Horst Bischof: *Person Re-Identification by Descriptive and
    Discriminative Classification*. SCIA 2011.

    Terms of use: for research, see the ``readme.txt`` that comes with it. The images show real people.

    Tree::

        data/prid_2011
        └── single_shot
            ├── cam_a    person_0001.png ... person_0385.png
            └── cam_b    person_0001.png ... person_0749.png

    View a (camera 1) shows 385 identities, view b (camera 2) 749. The first 200 are the same people in both views;
    from 201 on, equal numbers are *different* people, therefore nobody beyond 200 is read from view a. Of the 200, 100
    are trained on, drawn anew for each of the ten splits; the other 100 are the queries in view a, and the gallery is
    view b without those trained on: the same 100 and 549 others. ``multi_shot`` is not read.

    ======= ====== ==========
    part    images identities
    ======= ====== ==========
    train   200    100
    query   100    100
    gallery 649    649
    ======= ====== ==========

    Args:
        data_root (str): Folder that holds ``single_shot``. Defaults to ``'data/prid_2011'``.
        split (str): ``'train'`` or ``'test'`` (query and gallery). Defaults to ``'train'``.
        **kwargs: ``split_id`` (0 to 9) and ``seed``, see :class:`TwoViewDataset`; the others see
            :class:`ReIDDataset`.
    """

    VIEWS = {'single_shot/cam_a': 1, 'single_shot/cam_b': 2}
    #: Identities from 1 to this number are the same people in both views.
    NUM_SHARED = 200
    NAME_PATTERN = re.compile(r'person_(?P<pid>\d+)\.\w+$')
    NAME_FORM = 'person_<identity>'
    PUBLISHED_COUNTS = dict(train=SplitCount(200, 100), query=SplitCount(100, 100), gallery=SplitCount(649, 649))
    TREE = '\n'.join([
        '  prid_2011', '  └── single_shot', '      ├── cam_a    person_0001.png ... person_0385.png',
        '      └── cam_b    person_0001.png ... person_0749.png'
    ])

    def __init__(self, data_root: str = 'data/prid_2011', split: str = 'train', **kwargs) -> None:
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_images(self) -> list[dict]:
        """List the shared identities of view a and all of view b, sorted by name within each."""
        self.need_folders(self.VIEWS)
        images = [image for folder, view in self.VIEWS.items() for image in self.read_folder(folder, camid=view)]
        return [image for image in images if image['camid'] == 2 or image['pid'] <= self.NUM_SHARED]

    def paired_pids(self, images: list[dict]) -> set[int]:
        """The identities that are the same people in both views, whether or not their files are there."""
        return set(range(1, self.NUM_SHARED + 1))
