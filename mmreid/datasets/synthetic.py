"""Pedestrians drawn by a program: data that needs no download."""

import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from mmreid.registry import DATASETS

from .base import JUNK_PID, ReIDDataset
from .synthetic_drawing import DOMAINS, Camera, draw_camera, draw_person, draw_picture

#: First test identity minus one, so that test pictures do not depend on how many identities are trained on.
TEST_PID_OFFSET = 5000
_PERSON, _CAMERA, _PICTURE = 0, 1, 2  # independent random streams


@DATASETS.register_module()
class SyntheticReID(ReIDDataset):
    """Procedurally drawn pedestrians seen by several cameras.

    Identities differ in clothing (colours, patterns, cut), hair, skin, shoes, bag and build. A camera adds its own
    light, colour cast, saturation, blur, noise, background, preferred view and height; a picture its pose, crop,
    passers-by and occlusion. Two *domains* differ the way camera networks do: ``a`` is a bright campus in summer, ``b``
    a station hall in winter, so that a model trained on one does worse on the other than one trained there.

    A picture depends on (seed, domain, identity, camera, number) and on the image size only: it is the same on every
    machine, for any order of access and whatever the other counts are. The first picture of a test identity in a
    camera is a query, the others are gallery; distractors (identity 0) and junk (-1, badly cut pictures) join them.

    Args:
        domain (str): ``'a'`` or ``'b'``. Defaults to ``'a'``.
        split (str): ``'train'`` or ``'test'``. Defaults to ``'train'``.
        num_train_pids (int): Training identities, numbered from 1. Defaults to 100.
        num_test_pids (int): Test identities, numbered from 5001. Defaults to 100.
        num_cams (int): Cameras, numbered from 1; each sees everybody. Defaults to 6.
        num_images (int): Pictures of an identity in each camera. Defaults to 3.
        num_distractors (int): Gallery pictures of strangers. Defaults to 100.
        num_junk (int): Gallery pictures that are junk. Defaults to 20.
        size (Tuple[int, int]): Height and width of the pictures. Defaults to ``(128, 64)``.
        seed (int): Another seed draws other people and other cameras. Defaults to 0.
        cache (bool): Keep the pictures in memory. Defaults to True.
        **kwargs: See :class:`ReIDDataset`; there is no ``data_root``.

    Raises:
        ValueError: If the domain is unknown, a count is not positive or there is only one picture for the test split.

    Example:
        >>> dataset = SyntheticReID('a', 'train', num_train_pids=10)
        >>> len(dataset), dataset.num_classes
        (180, 10)
    """

    NON_IDENTITIES: tuple[int, ...] = (JUNK_PID, 0)

    def __init__(self,
                 domain: str = 'a',
                 split: str = 'train',
                 *,
                 num_train_pids: int = 100,
                 num_test_pids: int = 100,
                 num_cams: int = 6,
                 num_images: int = 3,
                 num_distractors: int = 100,
                 num_junk: int = 20,
                 size: tuple[int, int] = (128, 64),
                 seed: int = 0,
                 cache: bool = True,
                 **kwargs) -> None:
        if domain not in DOMAINS:
            raise ValueError(f'SyntheticReID: domain must be one of {", ".join(DOMAINS)}, got {domain!r}')
        self.domain = domain
        self.counts: dict[str, int] = dict(
            num_train_pids=num_train_pids, num_test_pids=num_test_pids, num_cams=num_cams, num_images=num_images,
            num_distractors=num_distractors, num_junk=num_junk)
        self.size = (int(size[0]), int(size[1]))
        self.seed = int(seed)
        self._check_arguments(split)
        super().__init__(split=split, cache=cache, **kwargs)

    def load_records(self) -> list[dict]:
        """List the pictures of the split; nothing is drawn yet."""
        if self.split == 'train':
            return [self._record(*key, 'train') for key in self._people(0, self.counts['num_train_pids'])]
        people = list(self._people(TEST_PID_OFFSET, self.counts['num_test_pids']))
        queries = [self._record(*key, 'query') for key in people if key[2] == 0]
        gallery = [self._record(*key, 'gallery') for key in people if key[2] > 0]
        strangers = [self._record(pid, 1 + shot % self.counts['num_cams'], shot, 'gallery')
                     for pid, option in ((0, 'num_distractors'), (JUNK_PID, 'num_junk'))
                     for shot in range(self.counts[option])]
        return queries + strangers + gallery

    def identity_space(self) -> str:
        """People are drawn anew for each domain and seed."""
        return f'SyntheticReID {self.domain} {self.seed}'

    def load_image(self, info: dict) -> np.ndarray:
        """Draw the picture of a record."""
        domain, (height, width) = DOMAINS[self.domain], self.size
        pid, camid, shot = info['pid'], info['camid'], info['shot']
        who = (pid + 1,) if pid > 0 else (pid + 1, camid, shot)  # every distractor is somebody else
        person = draw_person(_rng(self.seed, self.domain, _PERSON, *who), domain)
        camera = _camera(self.seed, self.domain, camid, height, width)
        rng = _rng(self.seed, self.domain, _PICTURE, pid + 1, camid, shot)
        return draw_picture(rng, person, camera, domain, height, width, bad_crop=pid == JUNK_PID)

    def get_image(self, idx: int) -> np.ndarray:
        """Pixels of a row: cached, or drawn now."""
        cached = super().get_image(idx)
        return self.load_image(self.get_data_info(idx)) if cached is None else cached

    @classmethod
    def export(cls, root: str, *, quality: int = 95, force: bool = False, **kwargs: Any) -> dict[str, int]:
        """Write both splits in the Market-1501 folder layout, for the real reader.

        Args:
            root (str): Folder to create.
            quality (int): JPEG quality. Defaults to 95.
            force (bool): Replace an earlier export in ``root``. Defaults to False.
            **kwargs: Arguments of :class:`SyntheticReID` other than ``split``.

        Returns:
            Dict[str, int]: Images written by folder.

        Raises:
            FileExistsError: If ``root`` is not empty, unless it holds an earlier export and ``force`` is set.
        """
        from .market_layout import export_market_layout
        kwargs.setdefault('cache', False)
        datasets = [cls(split=split, **kwargs) for split in ('train', 'test')]
        return export_market_layout(datasets, root, quality=quality, force=force)

    def _check_arguments(self, split: str) -> None:
        for name, value in dict(self.counts, height=self.size[0], width=self.size[1]).items():
            lowest = 0 if name in ('num_distractors', 'num_junk') else 16 if name in ('height', 'width') else 1
            if value < lowest:
                raise ValueError(f'SyntheticReID: {name} must be at least {lowest}, got {value}')
        if split == 'test' and self.counts['num_images'] < 2:
            raise ValueError('SyntheticReID: the test split needs num_images >= 2, one of them is the query')
        if max(self.counts['num_train_pids'], self.counts['num_test_pids']) >= TEST_PID_OFFSET:
            raise ValueError(f'SyntheticReID: at most {TEST_PID_OFFSET - 1:,} identities a split')

    def _people(self, offset: int, num_pids: int) -> Iterator[tuple[int, int, int]]:
        for pid in range(offset + 1, offset + num_pids + 1):
            for camid in range(1, self.counts['num_cams'] + 1):
                for shot in range(self.counts['num_images']):
                    yield pid, camid, shot

    def _record(self, pid: int, camid: int, shot: int, split: str) -> dict:
        name = f'{"-1" if pid == JUNK_PID else f"{pid:04d}"}_c{camid}s1_{25 * shot + 1:06d}_{shot % 100:02d}'
        return dict(img_path=f'synthetic://{self.domain}/seed{self.seed}/{name}', pid=pid, camid=camid, split=split,
                    shot=shot)

    def _title(self) -> str:
        return f'{type(self).__name__}({self.domain})'


def _rng(seed: int, domain: str, stream: int, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(domain.encode()), stream, *numbers])


@lru_cache(maxsize=32)
def _camera(seed: int, domain: str, camid: int, height: int, width: int) -> Camera:
    return draw_camera(_rng(seed, domain, _CAMERA, camid), DOMAINS[domain], camid, height, width)
