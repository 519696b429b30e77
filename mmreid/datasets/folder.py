"""A user's own images."""

import logging
import os
import os.path as osp
import re
import unicodedata
import zlib
from collections import Counter

from mmengine.logging import print_log

from mmreid.registry import DATASETS

from .annotation_file import JUNK, Annotation, read_annotations, write_annotations
from .base import JUNK_PID, ReIDDataset, _shorten
from .data_root import DATA_ROOT_ENV, DATASETS_GUIDE
from .folder_scan import Note, scan_folder
from .folder_split import draw_parts

_INTEGER = re.compile(r'[0-9]{1,18}')  # what an int64 column holds
_NAMED = 5  # examples in a message


@DATASETS.register_module()
class FolderReID(ReIDDataset):
    r"""Your own images: a folder for each identity, a list in a file, or images without labels.

    Trees::

        data/mine                    data/mine                     data/mine            data/mine
        ├── 0001                     ├── train                     ├── pictures         ├── a.jpg
        │   ├── any name.jpg         │   └── 0001/....jpg          │   └── ...jpg       └── 2026-11
        │   └── more/...png          ├── query                     └── list.csv             └── b.jpg
        └── anna                     │   └── anna/....jpg
            └── ...                  └── gallery/anna/....jpg
        (split drawn)                (split by folders)            annotations=         labels=False

    * Identities. Names that are integers from 0 on are kept as numbers, -1 is junk. If any is something else, all names
      are sorted and numbered from 1: the log says so, ``pid_names`` holds the name of each number.
    * Cameras come from the list, from ``camera_pattern``, or are unknown. Where they are unknown (or all images are of
      one), ``has_cameras`` is False, unknown ones are 0, and evaluation needs ``protocols=['all']``: under the others,
      no query has a match that counts. ``reads_cameras`` tells a single known camera from unknown ones. Give
      training, validation and test data the same options.
    * Split. From the list, from the folders ``train``, ``query``, ``gallery``, or drawn
      (:func:`~mmreid.datasets.folder_split.draw_parts`): ``test_pid_fraction`` of the identities are for the test, of
      which one image for each camera is the query. :meth:`write_split` keeps it in a file.
    * Without labels (``labels=False``), every image has ``pid`` -1 and class -1, and there are 0 classes. None is
      dropped: samplers without identities draw them all, those with identities once a method has given them pseudo
      labels. Identities that are known are ignored; if the images have a split, ``split='train'`` is its training part,
      otherwise all images.

    Sub-folders are read at any depth, names starting with a dot are ignored, links are followed. Images are files
    ``.jpg``, ``.jpeg``, ``.png`` and ``.bmp``; those of other formats are counted and left out. ``notes`` has what was
    left out or looks wrong, which the log says, too.

    The list is a CSV file with a header ``path,pid[,camid][,split]`` (without labels ``path[,camid][,split]``) or a
    JSON list of objects with these keys (see :func:`~mmreid.datasets.annotation_file.read_annotations`); its paths are
    relative to ``data_root``, or absolute. If you publish results on people's images, mind their consent and the terms
    of their use.

    Args:
        data_root (str): Folder of the images.
        split (str): ``'train'``, ``'test'``, or ``'all'``: every image as training data (``dataset.split`` is then
            ``'train'``). Defaults to ``'train'``.
        annotations (str, optional): File ``.csv`` or ``.json``, relative to ``data_root`` or absolute. Defaults to
            None: the folders are searched.
        labels (bool): Whether identities are read. Defaults to True.
        camera_pattern (str, optional): Regular expression whose first group is the number of the camera. It is
            searched in the file name, such as ``r'_c(\d+)'`` in ``0001_c2.jpg``; if there is a ``/`` in it, in the
            path below ``data_root``, such as ``r'cam(\d+)/'`` in ``cam2/0001.jpg``. Defaults to None.
        test_pid_fraction (float): Share of the identities that is drawn for the test where there is no split, from 0 to
            1. Defaults to 0.5.
        split_seed (int): Seed of that draw. Defaults to 0.
        **kwargs: See :class:`ReIDDataset`.

    Raises:
        FileNotFoundError: If a folder, the list or a listed image is missing, or there are no images.
        ValueError: If the list or an option is wrong (the message names the line), or more images lie beside the
            folders of identities than in them.

    Example:
        >>> train = FolderReID('data/mine', camera_pattern=r'_c(\d+)')
        >>> test = FolderReID('data/mine', split='test', camera_pattern=r'_c(\d+)')
        >>> unlabelled = FolderReID('data/stills', labels=False, camera_pattern=r'cam(\d+)/')
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 *,
                 annotations: str | None = None,
                 labels: bool = True,
                 camera_pattern: str | None = None,
                 test_pid_fraction: float = 0.5,
                 split_seed: int = 0,
                 **kwargs) -> None:
        self.annotations = annotations
        self.labels = labels
        self.part = split
        self.camera_pattern = camera_pattern
        self.test_pid_fraction, self.split_seed = test_pid_fraction, split_seed
        self.pid_names: dict[int, str] = {}
        self.notes: list[Note] = []
        self.has_cameras = self.reads_cameras = False
        self._check_options(data_root)
        super().__init__(data_root=data_root, split='train' if split == 'all' else split, **kwargs)

    # ---- what the base class asks for --------------------------------------------------------------------------

    def load_records(self) -> list[dict]:
        """List the images of the split, sorted by path (of a list: in its order)."""
        images, pids = self._read()
        if images[0].split is None:
            images = self._split(images, pids)
            self._report_split(images, pids)
        self._report(images, pids)
        wanted = {image.split for image in images} if self.part == 'all' else \
            {'train'} if self.part == 'train' else {'query', 'gallery', 'multi_query'}
        chosen = [(image, pid) for image, pid in zip(images, pids) if image.split in wanted]
        if not chosen:
            sizes = Counter(image.split for image in images)
            raise ValueError(f'{self._name()}: no image belongs to it; there are '
                             f'{", ".join(f"{number:,} for {split}" for split, number in sorted(sizes.items()))}')
        self._require_files([image for image, _ in chosen])
        return [dict(img_path=self._path(image), pid=pid, camid=image.camid or 0,
                     split='train' if self.split == 'train' else image.split) for image, pid in chosen]

    def identity_space(self) -> str:
        """The folder and, where identities have names, the names: another one would number the others anew."""
        names = [name for _, name in sorted(self.pid_names.items())]
        return super().identity_space() + (f' {zlib.crc32(repr(names).encode()):08x}' if names else '')

    def _check_matches(self, records: list[dict]) -> None:
        if self.has_cameras:
            super()._check_matches(records)
            return
        queries = {record['pid'] for record in records if record['split'] == 'query'} - {JUNK_PID}
        if not queries & {record['pid'] for record in records if record['split'] == 'gallery'}:
            raise ValueError(f'{self._name()}: no identity has a query and an image in the gallery; nothing can be '
                             'evaluated')
        # Any image of the identity is a match: for the base class, the gallery is of another camera.
        super()._check_matches([dict(record, camid=record['camid'] + (record['split'] == 'gallery'))
                                for record in records])

    def _title(self) -> str:
        return f'{type(self).__name__}({osp.basename(osp.normpath(self.data_root))})'

    # ---- what this class adds ----------------------------------------------------------------------------------

    def write_split(self, path: str, *, force: bool = False) -> None:
        """Write a CSV file of all images with identity, camera (where known) and split, for ``annotations``.

        Nothing else in mmreid writes next to your images. Paths are relative to ``data_root``, so the file can be kept
        there or elsewhere.

        Args:
            path (str): File to write.
            force (bool): Replace an existing file. Defaults to False.

        Raises:
            ValueError: If the images have no labels.
            FileExistsError: If the file exists and ``force`` is not set.
        """
        if not self.labels:
            raise ValueError(f'{self._name()}: images without labels have no split to write')
        images, pids = self._read()
        if images[0].split is None:
            images = self._split(images, pids)
        write_annotations(path, images, force=force)

    def _read(self) -> tuple[list[Annotation], list[int]]:
        """All images, each with its camera and part where these are known; and their identities."""
        self._require_root()
        self.notes = []
        if self.annotations is None:
            images = scan_folder(self.data_root, labels=self.labels, notes=self.notes)
        else:
            images = read_annotations(osp.join(self.data_root, osp.expanduser(self.annotations)), labels=self.labels)
            self._refuse_repetitions(images)
        images = self._find_cameras(images)
        self.has_cameras = len({image.camid for image in images}) > 1
        self.reads_cameras = all(image.camid is not None for image in images)
        pid_of = _number_names({image.pid for image in images}, self._name())
        pids = [pid_of[image.pid] for image in images]
        people = {pid: name for name, pid in pid_of.items() if pid != JUNK_PID}
        self.pid_names = {} if all(_INTEGER.fullmatch(name) for name in people.values()) else people
        return images, pids

    def _split(self, images: list[Annotation], pids: list[int]) -> list[Annotation]:
        """The images with parts, drawn where there are identities."""
        if not self.labels:
            return [image._replace(split='train') for image in images]
        seen = images if self.has_cameras else [image._replace(camid=None) for image in images]
        parts = draw_parts(seen, pids, self.test_pid_fraction, self.split_seed)
        return [image._replace(split=part) for image, part in zip(images, parts)]

    def _find_cameras(self, images: list[Annotation]) -> list[Annotation]:
        if self.camera_pattern is None:
            return images
        if images[0].camid is not None:
            raise ValueError(f'{self._name()}: "{self.annotations}" has cameras; give them there or by '
                             f'camera_pattern={self.camera_pattern!r}, not both')
        whole = '/' in self.camera_pattern
        texts = [_group(self.camera_pattern, self._place(image) if whole else osp.basename(image.path))
                 for image in images]
        strange = [image.path for image, text in zip(images, texts) if not _INTEGER.fullmatch(text)]
        if strange:
            there = not whole and all(_INTEGER.fullmatch(_group(self.camera_pattern, self._place(image)))
                                      for image in images)
            raise ValueError(f'{self._name()}: camera_pattern={self.camera_pattern!r} finds no number from 0 on in the '
                             f'{"paths" if whole else "names"} of {len(strange):,} of {len(images):,} images: '
                             f'{", ".join(strange[:_NAMED])}' +
                             (r". It does in their folders, which are searched where there is a / in it: r'cam(\d+)/'"
                              if there else ''))
        return [image._replace(camid=int(text)) for image, text in zip(images, texts)]

    def _place(self, image: Annotation) -> str:
        """The path below ``data_root`` with forward slashes; of an image elsewhere the absolute one."""
        path = osp.relpath(image.path, osp.abspath(self.data_root)) if osp.isabs(image.path) else image.path
        return (image.path if path.startswith('..') else path).replace(os.sep, '/')

    def _report_split(self, images: list[Annotation], pids: list[int]) -> None:
        if not self.labels:
            self._log('no split is given and labels=False: all images are training data, also those of a drawn test')
        elif self.part != 'all':
            test = {pid for image, pid in zip(images, pids) if image.split != 'train'} - {JUNK_PID}
            self._log(f'no split is given: {len(test):,} of {len(set(pids) - {JUNK_PID}):,} identities are drawn for '
                      f'the test (test_pid_fraction={self.test_pid_fraction:g}, split_seed={self.split_seed}); '
                      'write_split keeps the split in a file')

    def _report(self, images: list[Annotation], pids: list[int]) -> None:
        for note in self.notes:
            self._log(note.text, logging.WARNING)
        if self.pid_names:
            names = [f'{pid}: {name!r}' for pid, name in sorted(self.pid_names.items())]
            mixed = any(_INTEGER.fullmatch(name) for name in self.pid_names.values())
            self._log(f'the names of the identities are {"not all" if mixed else "no"} integers, they are numbered '
                      f'in their order: {_shorten(names)}; pid_names holds all',
                      logging.WARNING if mixed else logging.INFO)
        sizes = Counter(pid for pid in pids if pid != JUNK_PID)
        single = sorted(pid for pid, number in sizes.items() if number == 1)
        if single:
            self._log(f'{len(single):,} of {len(sizes):,} identities have a single image: {_shorten(single)}')
        both = {pid for image, pid in zip(images, pids) if image.split == 'train'} & \
            {pid for image, pid in zip(images, pids) if image.split != 'train'} - {JUNK_PID}
        if both and self.part != 'all':
            self._log(f'{len(both):,} identities are in training and test: {_shorten(sorted(both))}', logging.WARNING)
        if self.split == 'test' and not self.has_cameras:
            self._log("no cameras are known (or there is only one): evaluate with protocols=['all']; the others drop "
                      "the matches that the query's own camera has seen, here all of them", logging.WARNING)

    def _log(self, text: str, level: int = logging.INFO) -> None:
        print_log(f'{self._name()}: {text}', logger='current', level=level)

    # ---- checks ------------------------------------------------------------------------------------------------

    def _check_options(self, data_root: str) -> None:
        name = type(self).__name__
        if not data_root:
            raise ValueError(f'{name}: data_root must be the folder of the images, got {data_root!r}')
        if self.part not in ('train', 'test', 'all'):
            raise ValueError(f'{name}: split must be one of train, test, all, got {self.part!r}')
        if self.part == 'test' and not self.labels:
            raise ValueError(f'{name}: a test needs identities, so labels=False does not go with split="test"; say '
                             'split="train" or "all" (converters: --splits train)')
        if not 0 <= self.test_pid_fraction <= 1:
            raise ValueError(f'{name}: test_pid_fraction must lie from 0 to 1, got {self.test_pid_fraction}')
        if self.split_seed < 0:
            raise ValueError(f'{name}: split_seed must not be negative, got {self.split_seed}')
        if self.camera_pattern is not None:
            try:
                groups = re.compile(self.camera_pattern).groups
            except re.error as error:
                raise ValueError(f'{name}: camera_pattern={self.camera_pattern!r} is no regular expression: '
                                 f'{error}') from None
            if groups < 1:
                raise ValueError(f'{name}: camera_pattern={self.camera_pattern!r} needs a group for the number, as in '
                                 r"r'_c(\d+)'")

    def _require_root(self) -> None:
        if osp.isdir(self.data_root):
            return
        what = 'is not a folder' if osp.exists(self.data_root) else 'does not exist'
        raise FileNotFoundError(
            f'{type(self).__name__}: "{osp.abspath(self.data_root)}" {what} (data_root={self.configured_root!r}, '
            f'{DATA_ROOT_ENV}={os.environ.get(DATA_ROOT_ENV) or "(not set)"}).\nExpected a folder with '
            f'<identity>/<any name>.jpg; for a list of images, annotations="list.csv". See {DATASETS_GUIDE}.')

    def _refuse_repetitions(self, images: list[Annotation]) -> None:
        first: dict[str, Annotation] = {}
        for image in images:
            earlier = first.setdefault(osp.normpath(self._path(image)), image)
            if earlier is not image:
                raise ValueError(f'{image.where}: "{image.path}" is listed twice, first at '
                                 f'{earlier.where.rpartition(", ")[2]}')

    def _require_files(self, images: list[Annotation]) -> None:
        absent = [image for image in images if not osp.isfile(self._path(image))]
        if absent:
            named = '\n'.join(f'  "{self._path(image)}"' + (f' ({image.where})' if image.where else '')
                              for image in absent[:_NAMED])
            raise FileNotFoundError(
                f'{self._name()}: {len(absent):,} of {len(images):,} images do not exist '
                f'(data_root={self.configured_root!r}; paths of a list are relative to it):\n{named}'
                f'{"" if len(absent) <= _NAMED else chr(10) + "  ..."}\nSee {DATASETS_GUIDE}.')

    def _path(self, image: Annotation) -> str:
        return osp.join(self.data_root, *image.path.split('/')) if not osp.isabs(image.path) else image.path


def _group(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match.group(1) or '' if match else ''


def _number_names(names: set[str], dataset: str) -> dict[str, int]:
    """Identity of each name; see :class:`FolderReID`."""
    people = sorted(names - {JUNK}, key=lambda name: (unicodedata.normalize('NFC', name), name))
    if all(_INTEGER.fullmatch(name) for name in people):
        pid_of = {name: int(name) for name in people}
        if len(set(pid_of.values())) < len(people):
            number, _ = Counter(pid_of.values()).most_common(1)[0]
            same = [name for name, pid in pid_of.items() if pid == number]
            raise ValueError(f'{dataset}: {" and ".join(repr(name) for name in same)} are both identity {number}')
    else:
        forms = Counter(unicodedata.normalize('NFC', name) for name in people)
        twice = [name for name, number in forms.items() if number > 1]
        if twice:
            raise ValueError(f'{dataset}: {twice[0]!r} is written in two ways (composed and decomposed Unicode) and '
                             'would be two people; write it in one')
        pid_of = {name: number for number, name in enumerate(people, start=1)}
    return dict(pid_of, **({JUNK: JUNK_PID} if JUNK in names else {}))
