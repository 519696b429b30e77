"""Base class of the datasets whose file names say who is seen and where."""

import logging
import os
import os.path as osp
import re
from collections.abc import Iterable, Iterator, Sequence

from mmengine.logging import print_log

from .base import ReIDDataset
from .data_root import DATA_ROOT_ENV, DATASETS_GUIDE, require_folders
from .image_io import IMAGE_SUFFIXES


def list_images(folder: str) -> list[str]:
    """Names of the images in a folder, sorted; suffixes in upper case count, other files do not."""
    return sorted(name for name in os.listdir(folder) if name.lower().endswith(IMAGE_SUFFIXES))


class NamedImageDataset(ReIDDataset):
    """Images whose names hold the identity and, mostly, the camera.

    A subclass states the pattern, the folder of each record split, the cameras and the tree. What else a dataset does,
    such as splitting its identities at random, goes into its own ``load_records``.

    Images whose names do not match are skipped with a warning that counts them and names some.

    Raises:
        FileNotFoundError: If a folder is missing or holds no image with a proper name.
        ValueError: If a name holds a camera that the dataset does not have.
    """

    #: Matched from the start of a file name; with the groups ``pid`` and, unless the folder tells it, ``camid``.
    NAME_PATTERN: re.Pattern
    #: The pattern in words.
    NAME_FORM: str
    #: Folder of each record split.
    FOLDERS: dict[str, str] = {}
    #: Cameras that exist; None: any.
    CAMIDS: Sequence[int] | None = None
    #: The expected tree, for messages.
    TREE: str

    def load_records(self) -> list[dict]:
        """List the images of the split's folders, sorted by name within each folder."""
        parts = self.SPLITS[self.split]
        self.need_folders(self.FOLDERS[part] for part in parts)
        return [record for part in parts for record in self.read_folder(self.FOLDERS[part], split=part)]

    def need_folders(self, folders: Iterable[str]) -> None:
        """Check that the root has these folders; see :func:`require_folders`."""
        require_folders(self.data_root, list(folders), dataset=type(self).__name__, tree=self.TREE,
                        configured=self.configured_root)

    def read_folder(self, name: str, **fields) -> list[dict]:
        """Records of the images in a folder, sorted by name.

        Args:
            name (str): Folder within the root; ``''`` is the root.
            **fields: More fields of each record, such as ``split``, or ``camid`` where the folder tells the camera.
        """
        folder = osp.join(self.data_root, name) if name else self.data_root
        records, strange = [], []
        for image in list_images(folder):
            match = self.NAME_PATTERN.match(image)
            if match is None:
                strange.append(image)
            else:
                records.append(self.record(osp.join(folder, image), match, **fields))
        if strange:
            print_log(f'{type(self).__name__}: {len(strange):,} image(s) in "{folder}" skipped, their names do not '
                      f'parse as {self.NAME_FORM}: {", ".join(strange[:5])}', logger='current', level=logging.WARNING)
        if not records:
            raise FileNotFoundError(f'{type(self).__name__}: no image was found in "{osp.abspath(folder)}" '
                                    f'(data_root={self.configured_root!r}); expected names such as {self.NAME_FORM}. '
                                    f'{DATASETS_GUIDE} describes the dataset.')
        return records

    def record(self, path: str, match: re.Match, **fields) -> dict:
        """Record of one image, from the match of its name; a dataset whose camera hides elsewhere overrides it."""
        camid = fields.pop('camid', None)
        camid = int(match['camid']) if camid is None else camid
        self.check_camera(camid, path)
        return dict(img_path=path, pid=int(match['pid']), camid=camid, **fields)

    def check_camera(self, camid: int, path: str) -> None:
        """Refuse a camera that the dataset does not have."""
        if self.CAMIDS is not None and camid not in self.CAMIDS:
            raise ValueError(f'{type(self).__name__}: camera {camid} in "{path}", but the dataset has the cameras '
                             f'{self.CAMIDS[0]} to {self.CAMIDS[-1]} (names: {self.NAME_FORM}). Is this file part of '
                             f'the dataset? {DATASETS_GUIDE} describes it.')

    def find_image_folder(self, *folders: str) -> str:
        """First of the folders that holds images, for datasets that people unpack differently.

        Args:
            *folders (str): Folders within the root; ``''`` is the root.

        Raises:
            FileNotFoundError: If none does. The message holds what was looked for, the expected tree and the likely
                right folder.
        """
        found = self._holding(self.data_root, folders)
        if found is not None:
            return found
        root = osp.abspath(self.data_root)
        names = ' and '.join(f'"{osp.join(root, name) if name else root}"' for name in folders)
        state = '' if osp.isdir(root) else f'the folder "{root}" does not exist, '
        lines = [f'{type(self).__name__}: {state}no image named like {self.NAME_FORM} in {names} '
                 f'(data_root={self.configured_root!r}, {DATA_ROOT_ENV}={os.environ.get(DATA_ROOT_ENV, "")}).',
                 'Expected tree:', self.TREE]
        places = _neighbours(self.data_root)
        better = next((place for place in places if self._holding(place, folders) is not None), None)
        if better is not None:
            lines.append(f'Did you mean data_root={better!r}? It has such images.')
        lines.append(f'Pass the folder as `data_root`, or set {DATA_ROOT_ENV} to the folder that takes the place of '
                     f'"data/". {DATASETS_GUIDE} says how to get the dataset.')
        raise FileNotFoundError('\n'.join(lines))

    def _holding(self, root: str, folders: Sequence[str]) -> str | None:
        for name in folders:
            folder = osp.join(root, name) if name else root
            if osp.isdir(folder) and any(self.NAME_PATTERN.match(image) for image in list_images(folder)):
                return name
        return None


def _neighbours(root: str) -> Iterator[str]:
    """One level up, one level down and beside the root."""
    parent = osp.dirname(osp.normpath(root)) or '.'
    yield parent
    for place in (root, parent):
        if osp.isdir(place):
            yield from sorted(entry.path for entry in os.scandir(place) if entry.is_dir())
