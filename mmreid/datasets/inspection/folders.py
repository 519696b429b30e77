"""What a folder of one's own images shows beyond its records: what was left out, and cameras that are not read."""

import os
import os.path as osp
import re
from collections.abc import Iterator

from ..base import ReIDDataset
from ..folder import FolderReID
from .findings import Finding

#: Where cameras stand in names, the surest first. No spaces in them: on a command line they would need quotes.
_CAMERA_PATTERNS = (r'_c(\d+)', r'c(\d+)s\d', r'cam_?(\d+)', r'[Cc]am(?:era)?[\s_.-]?(\d+)', r'[\s-][Cc](\d+)')


def find_in_folder(dataset: ReIDDataset) -> Iterator[Finding]:
    """Findings about a :class:`FolderReID`; none about any other dataset."""
    if not isinstance(dataset, FolderReID):
        return
    yield from (Finding(note.kind, note.text) for note in dataset.notes)
    if dataset.reads_cameras:
        return
    paths = [dataset.get_data_info(row)['img_path'] for row in range(len(dataset))]
    pattern = guess_camera_pattern([osp.relpath(path, dataset.data_root).replace(os.sep, '/') for path in paths])
    if pattern is not None and not ('/' in pattern and any(note.kind == 'camera-folders' for note in dataset.notes)):
        yield Finding('camera-names', f'{dataset.identity_space()}: the {"folders" if "/" in pattern else "names"} '
                      f"look as if they had the numbers of cameras: camera_pattern=r'{pattern}' reads them (here: "
                      f"--options 'camera_pattern={pattern}')")


def guess_camera_pattern(paths: list[str]) -> str | None:
    """A ``camera_pattern`` under which all images have a camera and there are several, but not one an image or two.

    Args:
        paths (List[str]): Below the folder, with forward slashes.

    Returns:
        str: The pattern, with a ``/`` if it is about folders; None if there is none.
    """
    names = [osp.basename(path) for path in paths]
    for texts, end in ((names, ''), (paths, '/')):
        for pattern in _CAMERA_PATTERNS:
            found = [re.search(pattern + end, text) for text in texts]
            if all(found) and 2 <= len({int(match[1]) for match in found}) <= max(2, len(paths) // 2):
                return pattern + end
    return None
