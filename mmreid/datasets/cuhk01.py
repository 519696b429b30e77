"""CUHK01."""

import re

from mmreid.registry import DATASETS

from .base import SplitCount
from .splits import draw_shots
from .two_views import TwoViewDataset


@DATASETS.register_module()
class CUHK01(TwoViewDataset):
    """`CUHK01 <http://www.ee.cuhk.edu.hk/~xgwang/CUHK_identification.html>`_.

    Wei Li, Rui Zhao, Xiaogang Wang: *Human Reidentification with Transferred Metric Learning*. ACCV 2012.

    Terms of use: for research only, to be asked for at the project page, which also asks to respect the privacy of the
    students it shows.

    Tree::

        data/CUHK01
        └── campus    0001001.png 0001002.png 0001003.png 0001004.png 0002001.png ... 0971004.png

    (The images may also lie directly in ``data_root``.) A name is the identity in four digits and the number of the
    image in three: 1 and 2 are view 1, 3 and 4 view 2. 971 identities, 3,884 images.

    ========= ======= ============= ============================================
    setting   part    images        identities
    ========= ======= ============= ============================================
    485/486   train   970           485, one image in each view
    ..        query   486           486, one image each
    ..        gallery 486           486, one image each
    871/100   train   3,484         871, all images
    ..        query   200           100, all images
    ..        gallery 200           100, all images
    ========= ======= ============= ============================================

    In '485/486' the image of an identity in a view is drawn by
    ``np.random.default_rng([seed, split_id, identity, view])``.

    Args:
        data_root (str): Folder that holds ``campus`` or the images. Defaults to ``'data/CUHK01'``.
        split (str): ``'train'`` or ``'test'`` (query and gallery). Defaults to ``'train'``.
        setting (str): ``'485/486'``, single shot, or ``'871/100'``, all images. Defaults to ``'485/486'``.
        **kwargs: ``split_id`` (0 to 9) and ``seed``, see :class:`TwoViewDataset`; the others see
            :class:`ReIDDataset`.

    Raises:
        ValueError: If the setting is unknown, or '871/100' meets 100 identities or fewer.
    """

    #: Test identities of the setting with all images.
    NUM_TEST = 100
    #: Published sizes by setting.
    COUNTS = {
        '485/486': dict(train=SplitCount(970, 485), query=SplitCount(486, 486), gallery=SplitCount(486, 486)),
        '871/100': dict(train=SplitCount(3484, 871), query=SplitCount(200, 100), gallery=SplitCount(200, 100)),
    }
    NAME_PATTERN = re.compile(r'(?P<pid>\d{4})(?P<number>\d{3})\.\w+$')
    NAME_FORM = '<identity, 4 digits><image, 3 digits>'
    TREE = '\n'.join(['  CUHK01', '  └── campus    0001001.png 0001002.png 0001003.png 0001004.png ...'])

    def __init__(self, data_root: str = 'data/CUHK01', split: str = 'train', *, setting: str = '485/486',
                 **kwargs) -> None:
        if setting not in self.COUNTS:
            raise ValueError(f'{type(self).__name__}: setting must be one of {", ".join(self.COUNTS)}, got {setting!r}')
        self.setting = setting
        self.PUBLISHED_COUNTS = self.COUNTS[setting]
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_images(self) -> list[dict]:
        """List all images, or one of each identity and view, sorted by name."""
        images = self.read_folder(self.find_image_folder('campus', ''))
        return images if self.setting == '871/100' else self._single_shot(images)

    def record(self, path: str, match: re.Match, **fields) -> dict:
        """Record of one image; its number tells the view."""
        return super().record(path, match, camid=(int(match['number']) + 1) // 2, **fields)

    def num_train(self, num_pids: int) -> int:
        """Half of the identities, or all but 100."""
        if self.setting == '485/486':
            return super().num_train(num_pids)
        if num_pids <= self.NUM_TEST:
            raise ValueError(f'{self._name()}: {num_pids} identities, of which {self.NUM_TEST} are tested: none is '
                             'left to train on. Is the folder complete?')
        return num_pids - self.NUM_TEST

    def _single_shot(self, images: list[dict]) -> list[dict]:
        chosen = draw_shots(images, seed=self.seed, split_id=self.split_id)
        return [image for image in images if image['img_path'] in chosen]

    def _title(self) -> str:
        return f'{type(self).__name__} {self.setting}, split {self.split_id} (seed {self.seed})'
