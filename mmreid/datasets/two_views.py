"""Base class of the small datasets with two views, whose identities are split at random."""

from .data_root import DATASETS_GUIDE
from .named_images import NamedImageDataset
from .splits import check_split, draw


class TwoViewDataset(NamedImageDataset):
    """Two views of each identity; some identities are trained on, the others tested.

    ``camid`` is the view, 1 or 2. The training identities are drawn from the sorted identities that both views show, by
    ``np.random.default_rng([seed, split_id])``. Queries are the test identities in view 1, the gallery is all of view 2
    that is not trained on. Results are averaged over ``split_id`` 0 to 9.

    A subclass implements :meth:`load_images` and, unless half of the identities are trained on, :meth:`num_train`.

    Args:
        data_root (str): Folder of the dataset.
        split (str): ``'train'`` or ``'test'`` (query and gallery).
        split_id (int): Number of the random split, 0 to 9. Defaults to 0.
        seed (int): Seed of the ten splits. Defaults to 0.
        **kwargs: See :class:`ReIDDataset`.

    Raises:
        FileNotFoundError: If an identity lacks one of its views: every split would be another one.
        ValueError: If ``split_id`` or ``seed`` is out of range.
    """

    #: Random splits over which results are averaged.
    NUM_SPLITS = 10
    #: The views.
    CAMIDS = range(1, 3)

    def __init__(self, data_root: str, split: str = 'train', *, split_id: int = 0, seed: int = 0, **kwargs) -> None:
        check_split(type(self).__name__, split_id, seed, self.NUM_SPLITS)
        self.split_id, self.seed = split_id, seed
        super().__init__(data_root=data_root, split=split, **kwargs)

    # ---- what a subclass provides ------------------------------------------------------------------------------

    def load_images(self) -> list[dict]:
        """List the images of both views, with ``camid`` 1 or 2 and no ``split``."""
        raise NotImplementedError(f'{type(self).__name__} must implement load_images')

    def paired_pids(self, images: list[dict]) -> set[int]:
        """Identities that both views are to show; here all."""
        return {image['pid'] for image in images}

    def num_train(self, num_pids: int) -> int:
        """How many of the paired identities are trained on; here half, rounded down."""
        return num_pids // 2

    # ---- splitting ---------------------------------------------------------------------------------------------

    def load_records(self) -> list[dict]:
        """Images of the training identities, or the queries of view 1 and then the gallery of view 2."""
        images = self.load_images()
        paired = self.paired_pids(images)
        self._check_views(images, paired)
        train = set(draw(paired, self.num_train(len(paired)), seed=self.seed, split_id=self.split_id))
        if self.split == 'train':
            return [dict(image, split='train') for image in images if image['pid'] in train]
        tested = [image for image in images if image['pid'] not in train]
        query = [dict(image, split='query') for image in tested if image['camid'] == 1 and image['pid'] in paired]
        return query + [dict(image, split='gallery') for image in tested if image['camid'] == 2]

    def _check_views(self, images: list[dict], paired: set[int]) -> None:
        for view in self.CAMIDS:
            missing = sorted(paired - {image['pid'] for image in images if image['camid'] == view})
            if missing:
                raise FileNotFoundError(f'{self._name()}: view {view} lacks {len(missing):,} of the {len(paired):,} '
                                        f'identities that both views show, such as {missing[:5]} (data_root='
                                        f'{self.configured_root!r}). The splits are drawn from all of them, so that '
                                        'they are the same everywhere. Is the folder complete? Expected tree:\n'
                                        f'{self.TREE}\n{DATASETS_GUIDE} describes the dataset.')

    def _title(self) -> str:
        return f'{type(self).__name__} split {self.split_id} (seed {self.seed})'
