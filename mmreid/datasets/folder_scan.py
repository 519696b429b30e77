"""Find the images below a folder, and whose they are."""

import os
import os.path as osp
import re
from collections.abc import Iterator
from typing import NamedTuple

from .annotation_file import JUNK, Annotation
from .data_root import DATASETS_GUIDE
from .image_io import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES

#: Sub-folders that are parts of a split instead of identities.
PART_FOLDERS = ('train', 'query', 'gallery')
#: Names of parts that elsewhere mean test data; as identities they would be a mistake.
OTHER_PARTS = ('test', 'val', 'valid', 'validation')
_NAMED = 5  # examples in a message
_CAMERA_FOLDER = re.compile(r'((?:ip|web)?cam|camera|kamera|cctv|channel)[ _.-]*(?:[0-9]+|[a-z])', re.IGNORECASE)


class Note(NamedTuple):
    """What the user should know about a folder."""

    #: ``'loose'``: images that belong to no identity are left out, ``'camera-folders'``: identities have the names of
    #: cameras, ``'other-format'``: images of formats that are not read are left out, ``'left-out'``: folders without
    #: images or beside the parts.
    kind: str
    #: In words.
    text: str


def scan_folder(root: str, *, labels: bool, notes: list[Note]) -> list[Annotation]:
    """List the images below a folder, sorted.

    ``<identity>/...`` or, with ``train`` or both ``query`` and ``gallery`` in the folder, ``<part>/<identity>/...``.
    Without labels every image counts, wherever it lies below the folder or the part. Names that start with a dot are
    ignored.

    Args:
        root (str): The folder.
        labels (bool): Whether the folders of the first level are identities.
        notes (List[Note]): Receives what the user should know.

    Returns:
        List[Annotation]: Paths are relative to ``root`` with forward slashes.

    Raises:
        FileNotFoundError: If there is no image, or there are images but no folders of identities.
        ValueError: If more images lie beside the folders of identities than in them, or the parts of a test have other
            names.
    """
    folders, _ = _entries(root)
    parts = [part for part in PART_FOLDERS if part in folders]
    others = [name for name in folders if name.lower() in OTHER_PARTS]
    if labels and others and (parts or len(others) == len(folders)):
        raise ValueError(f'FolderReID: "{root}" has the folder {_named(others)}; the parts of a test are called query '
                         'and gallery. Rename or divide the folder, give a list (annotations=...) with a column split, '
                         f'or let the split be drawn from folders of identities. See {DATASETS_GUIDE}.')
    if not {'train'} & set(parts) and not {'query', 'gallery'} <= set(parts):
        return _scan_part(root, '', None, labels, notes)
    ignored = [name for name in folders if name not in parts]
    if ignored:
        notes.append(Note('left-out', f'"{root}" has the folders {", ".join(parts)}, so that {_named(ignored)} in it '
                          f'{"is" if len(ignored) == 1 else "are"} ignored'))
    return [image for part in parts for image in _scan_part(root, part, part, labels, notes)]


def _scan_part(root: str, folder: str, part: str | None, labels: bool, notes: list[Note]) -> list[Annotation]:
    place = osp.join(root, folder) if folder else root
    folders, files = _entries(place)
    unread: list[str] = []  # images of other formats
    if not labels:
        images = [Annotation(osp.join(folder, path).replace(os.sep, '/'), JUNK, None, part, '')
                  for path in images_below(place, unread)]
        _note_unread(place, unread, notes)
        return _require(images, place, unread)
    loose = [name for name in files if _is_image(name)]
    unread += [name for name in files if _is_other_image(name)]
    images, empty = [], []
    for name in folders:
        inside: list[str] = []
        found = [Annotation(osp.join(folder, name, path).replace(os.sep, '/'), name, None, part, '')
                 for path in images_below(osp.join(place, name), inside)]
        images += found
        unread += [osp.join(name, path) for path in inside]
        if not found:
            empty.append(name)
    if part is None and len(folders) == 1 and not loose and images and not _holds_images(osp.join(place, folders[0])):
        raise FileNotFoundError(f'FolderReID: "{place}" holds one folder, {folders[0]!r}, and that holds only folders: '
                                f'identities seem to lie one level down. Did you mean '
                                f'data_root={osp.join(place, folders[0])!r}? See {DATASETS_GUIDE}.')
    if loose and not images:
        raise FileNotFoundError(_without_identities(place, loose))
    if len(loose) > len(images):
        raise ValueError(f'FolderReID: "{osp.abspath(place)}" holds {len(loose):,} images ({_named(loose)}) beside '
                         f'{len(folders):,} folder(s) ({_named(folders)}) with {len(images):,}. Expected: <identity>/'
                         '<any name>.jpg. Without labels, labels=False reads them all; otherwise move them into the '
                         f'folders of their identities, or away. See {DATASETS_GUIDE}.')
    if loose:
        notes.append(Note('loose', f'{len(loose):,} image(s) in "{place}" belong to no identity and are ignored: '
                          f'{_named(loose)}. (If nobody knows who is who: labels=False reads all images.)'))
    if empty:
        notes.append(Note('left-out', f'{len(empty):,} folder(s) in "{place}" hold no image: {_named(empty)}'))
    people = sorted({image.pid for image in images} - {JUNK})
    if people and all(_CAMERA_FOLDER.fullmatch(name) for name in people):
        notes.append(Note('camera-folders', f'the folders in "{place}" have the names of cameras ({_named(people)}) '
                          'and are read as identities. Images without labels in folders of cameras: labels=False and '
                          f'{_camera_option(people)}; with labels: a list (annotations=...) with the columns '
                          'path,pid,camid'))
    _note_unread(place, unread, notes)
    return _require(images, place, unread)


def _camera_option(folders: list[str]) -> str:
    """How the cameras of these folders are given."""
    stems = {name.rstrip('0123456789') for name in folders}
    if stems & set(folders):  # cam_a, cam_b
        return 'a list (annotations=...) with the columns path,camid, as these cameras have no numbers'
    # No spaces: on a command line they would need quotes.
    stem = stems.pop().replace('.', r'\.').replace(' ', r'\s') if len(stems) == 1 else ''
    return f"camera_pattern=r'{stem}(\\d+)/'"


def _note_unread(place: str, unread: list[str], notes: list[Note]) -> None:
    if unread:
        notes.append(Note('other-format', f'{len(unread):,} image(s) in "{place}" are of a format that is not read and '
                          f'are left out: {_named(unread)}; {", ".join(IMAGE_SUFFIXES)} are read, convert the others'))


def images_below(folder: str, unread: list[str], inside: tuple[str, ...] = ()) -> Iterator[str]:
    """Paths relative to the folder, sorted; links are followed, but not into a folder that is being read. Images of
    other formats are added to ``unread``, with such paths."""
    inside += (osp.realpath(folder), )
    folders, files = _entries(folder)
    yield from (name for name in files if _is_image(name))
    unread += [name for name in files if _is_other_image(name)]
    for name in folders:
        if osp.realpath(osp.join(folder, name)) not in inside:
            below: list[str] = []
            yield from (osp.join(name, path) for path in images_below(osp.join(folder, name), below, inside))
            unread += [osp.join(name, path) for path in below]


def _entries(folder: str) -> tuple[list[str], list[str]]:
    """Folders and files (also links that lead nowhere), sorted."""
    with os.scandir(folder) as entries:
        visible = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith('.'))
    return [name for name, is_dir in visible if is_dir], [name for name, is_dir in visible if not is_dir]


def _holds_images(folder: str) -> bool:
    return any(_is_image(name) for name in _entries(folder)[1])


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _is_other_image(name: str) -> bool:
    return name.lower().endswith(OTHER_IMAGE_SUFFIXES)


def _require(images: list[Annotation], place: str, unread: list[str]) -> list[Annotation]:
    if not images:
        others = f' There are {len(unread):,} of other formats ({_named(unread)}): convert them.' if unread else ''
        raise FileNotFoundError(f'FolderReID: no image was found in "{osp.abspath(place)}"; looked for '
                                f'{", ".join(IMAGE_SUFFIXES)} in folders <identity>/.{others} See {DATASETS_GUIDE}.')
    return images


def _without_identities(place: str, loose: list[str]) -> str:
    return (f'FolderReID: "{osp.abspath(place)}" holds {len(loose):,} image(s) ({_named(loose)}) but no folder of an '
            'identity.\nExpected: <identity>/<any name>.jpg. If this is the folder of one identity, give the one above '
            'it. labels=False reads images without identities; annotations=... reads a list; images named as in '
            f'Market-1501 are read by Market1501(check_counts=False). See {DATASETS_GUIDE}.')


def _named(names: list[str]) -> str:
    return ', '.join(repr(name) for name in names[:_NAMED]) + (', ...' if len(names) > _NAMED else '')
