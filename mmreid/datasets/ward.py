"""WARD."""

import re

from mmreid.registry import DATASETS

from .base import SplitCount
from .named_images import NamedImageDataset
from .splits import check_split, draw, draw_shots


@DATASETS.register_module()
class WARD(NamedImageDataset):
    """`WARD <https://github.com/iN1k1/CVPR2012/tree/master/toolbox/Datasets>`_, Wide Area Re-identification Dataset.

    Niki Martinel, Christian Micheloni: *Re-identify People in Wide Area Camera Network*. CVPR Workshops 2012.

    Terms of use: it lies in its authors' repository; that repository's licence speaks of the software, none of the
    images. Treat it as for research only. The images show real people.

    Tree::

        data/WARD    000100010001.png 000100010002.png ... 007000030045.png

    A name is identity, camera and frame, four digits each. This rests on the list of files in the authors' repository
    (``toolbox/Datasets/WARD``) and on their reader beside it: 4,786 names of this form and no others, identities 1 to
    70, cameras 1 to 3 with 1,483, 1,704 and 1,599 images, and everybody in every camera. Folders of the same people
    that others have rearranged are not read.

    ============== ====== ==========
    part           images identities
    ============== ====== ==========
    train          4,786  70
    with split_id:
    train          varies 35
    query          105    35, one image in each camera
    gallery        varies 35, all their other images
    ============== ====== ==========

    There is no published training split. By default all identities are trained on, as EmbAE does, and there is no test
    split. ``split_id`` draws 35 identities to train on and 35 to test by ``np.random.default_rng([seed, split_id])``,
    and the query of each identity and camera by ``np.random.default_rng([seed, split_id, identity, camera])``.

    Args:
        data_root (str): Folder that holds the images, or a folder ``WARD`` of them. Defaults to ``'data/WARD'``.
        split (str): ``'train'`` or, with ``split_id``, ``'test'`` (query and gallery). Defaults to ``'train'``.
        split_id (int, optional): Number of a random split, 0 to 9. Defaults to None: train on all identities.
        seed (int): Seed of the ten splits. Defaults to 0.
        **kwargs: See :class:`ReIDDataset`.

    Raises:
        FileNotFoundError: If there are no images with such names.
        ValueError: If the test split is asked for without ``split_id``, or a name holds a camera other than 1 to 3.
    """

    NUM_SPLITS = 10
    NAME_PATTERN = re.compile(r'(?P<pid>\d{4})(?P<camid>\d{4})\d{4}\.\w+$')
    NAME_FORM = '<identity><camera><frame>, 4 digits each'
    CAMIDS = range(1, 4)
    COUNTS = dict(train=SplitCount(4786, 70))
    TREE = '\n'.join(['  WARD', '  └── 000100010001.png 000100010002.png ... 007000030045.png'])

    def __init__(self, data_root: str = 'data/WARD', split: str = 'train', *, split_id: int | None = None,
                 seed: int = 0, **kwargs) -> None:
        if split_id is not None:
            check_split(type(self).__name__, split_id, seed, self.NUM_SPLITS)
        elif split == 'test':
            raise ValueError(f'{type(self).__name__}: without split_id all identities are trained on and none is left '
                             f'to test; give the split_id (0 to {self.NUM_SPLITS - 1}) that the training has, too')
        self.split_id, self.seed = split_id, seed
        self.PUBLISHED_COUNTS = self.COUNTS if split_id is None else {}
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_records(self) -> list[dict]:
        """List the images of the training identities, or queries and gallery of the others, sorted by name."""
        images = self.read_folder(self.find_image_folder('', 'WARD'), split='train')
        if self.split_id is None:
            return images
        pids = {image['pid'] for image in images}
        train = set(draw(pids, len(pids) // 2, seed=self.seed, split_id=self.split_id))
        if self.split == 'train':
            return [image for image in images if image['pid'] in train]
        return self._query_and_gallery([image for image in images if image['pid'] not in train])

    def _query_and_gallery(self, images: list[dict]) -> list[dict]:
        queries = draw_shots(images, seed=self.seed, split_id=self.split_id)
        parts = ['query' if image['img_path'] in queries else 'gallery' for image in images]
        records = [dict(image, split=part) for image, part in zip(images, parts, strict=True)]
        return sorted(records, key=lambda record: record['split'] != 'query')

    def _title(self) -> str:
        which = 'all identities' if self.split_id is None else f'split {self.split_id} (seed {self.seed})'
        return f'{type(self).__name__} {which}'
