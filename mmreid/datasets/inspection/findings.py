"""What is wrong, or only noteworthy, with the records of a dataset and with what reading their files has shown."""

import os.path as osp
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from .files import FileFacts

#: Kinds of findings after which the data should not be used, and what they mean.
ERRORS = {
    'build': 'the dataset cannot be read at all: folders, lists, options',
    'count': 'images or identities are not as many as published',
    'unreadable': 'a file is missing, cannot be opened, or is no image',
    'empty': 'a file of zero bytes',
    'truncated': 'a file that ends too early',
    'damaged': 'the decoder complains about the content of a file',
    'two-identities': 'the same picture under two identities',
    'two-cameras': 'the same picture of an identity under two cameras',
    'leak': 'the same picture in training and test data',
    'train-and-test': 'an identity in training and test data',
    'name': 'the name of a file says another identity than its folder or its label',
    'loose': 'images beside the folders of identities, which are left out',
    'camera-folders': 'folders with the names of cameras are read as identities',
}
#: Kinds of findings that training and evaluation can live with, and what they mean.
NOTES = {
    'other-count': 'the layout is that of a published dataset, the number of images far from it: other data',
    'duplicate': 'the same picture several times, of the same identity and camera, or as junk or distractor',
    'size': 'the size or aspect ratio of an image is far from those of the others',
    'dark': 'hardly any light in an image: a 16-bit file that uses its lower bits only, or a covered camera',
    'other-format': 'images of formats that are not read, which are left out',
    'left-out': 'folders without images, or beside train, query and gallery',
    'camera-names': 'names or folders look as if they had the numbers of cameras, which are not read',
    'no-cameras': 'all images are of one camera, or none is known; evaluate with the protocol "all"',
    'one-image': 'identities with one image in training or gallery',
    'one-camera': 'identities with one camera in training or gallery',
    'no-match': 'queries without a match from another camera; they are not evaluated',
}

_DARK = 32  # of 255; a 16-bit file with values of 12 bits has at most 15
_TEST_SPLITS = ('query', 'gallery', 'multi_query')


class Finding(NamedTuple):
    """One line of a report."""

    #: A key of :data:`ERRORS` or :data:`NOTES`.
    kind: str
    #: In words.
    message: str
    #: Files concerned, worst first; empty if it is not about single files.
    paths: tuple[str, ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether the data should not be used like this."""
        return self.kind in ERRORS


class Record(NamedTuple):
    """An image of a dataset, with what tells people of different datasets apart."""

    path: str
    pid: int
    camid: int
    split: str
    #: Within what the identities are numbered.
    space: str
    #: False for junk and distractors.
    is_person: bool

    @property
    def person(self) -> tuple[str, int]:
        """Identity among all datasets."""
        return self.space, self.pid


def find_all(records: Sequence[Record], facts: dict[str, FileFacts]) -> list[Finding]:
    """All findings about records and their files."""
    return list(chain(find_broken(records, facts), find_copies(records, facts), find_wrong_names(records),
                      find_shared_people(records), find_unknown_cameras(records), find_lonely_people(records),
                      find_lost_queries(records), find_odd_sizes(records, facts), find_dark(records, facts)))


def find_broken(records: Sequence[Record], facts: dict[str, FileFacts]) -> Iterator[Finding]:
    """Files that are missing, empty, truncated or damaged."""
    for path, splits in _splits_of(records).items():
        if facts[path].problem:
            yield Finding(facts[path].problem, f'[{splits}] image "{path}" {facts[path].message}', (path,))


def find_copies(records: Sequence[Record], facts: dict[str, FileFacts]) -> Iterator[Finding]:
    """The same picture more than once: by its pixels, or by the bytes of its file where it was not decoded."""
    groups: dict[bytes, list[Record]] = defaultdict(list)
    for record in records:
        fact = facts[record.path]
        key = fact.pixels or fact.content
        if key is not None and not fact.problem:
            groups[key].append(record)
    for group in groups.values():
        group = list(dict.fromkeys(group))
        paths = tuple(sorted({record.path for record in group}))
        kind = _kind_of_copies(group)
        if len(paths) > 1 or kind != 'duplicate':
            same = 'bytes' if len({facts[path].content for path in paths}) == 1 else 'pixels'
            where = ', '.join(f'"{record.path}" [{record.split}, pid {record.pid}, camera {record.camid}]'
                              for record in group)
            yield Finding(kind, f'{_COPIES[kind]} (same {same}): {where}', paths)


_COPIES = {'two-identities': 'one picture under two identities', 'two-cameras': 'one picture under two cameras',
           'leak': 'one picture in training and test data', 'duplicate': 'one picture several times'}


def _kind_of_copies(group: Sequence[Record]) -> str:
    people = [record for record in group if record.is_person]
    splits = {record.split for record in people}
    # Two datasets number the same person differently; a picture in both is a leak, not a wrong label.
    if any(len({record.pid for record in people if record.space == space}) > 1
           for space in {record.space for record in people}):
        return 'two-identities'
    if 'train' in splits and splits.intersection(_TEST_SPLITS):
        return 'leak'
    if len({record.camid for record in people}) > 1 and len({record.space for record in people}) == 1:
        return 'two-cameras'
    return 'duplicate'


def find_wrong_names(records: Sequence[Record]) -> Iterator[Finding]:
    """Files whose name begins with another number than their folder or their label.

    Only where the numbers agree for most files of a dataset: names may count frames, or anything else.
    """
    named: dict[str, list[tuple[Record, int]]] = defaultdict(list)
    for record in {record.path: record for record in records}.values():
        match = re.match(r'(-?\d+)(?=[_.cC-])', osp.basename(record.path))
        if match:
            named[record.space].append((record, int(match[1])))
    for claims in named.values():
        reported: set[str] = set()
        for what, number_of in (('folder', _folder_number), ('label', lambda record: record.pid)):
            compared = [(record, said, number) for record, said in claims if (number := number_of(record)) is not None]
            wrong = [claim for claim in compared if claim[1] != claim[2] and claim[0].path not in reported]
            if 2 * len(wrong) >= len(compared):
                continue
            for record, said, number in wrong:
                reported.add(record.path)
                yield Finding('name', f'[{record.split}] image "{record.path}": the name says identity {said}, '
                              f'the {what} says {number}', (record.path,))


def _folder_number(record: Record) -> int | None:
    folder = osp.basename(osp.dirname(record.path))
    return int(folder) if re.fullmatch(r'-?\d+', folder) else None


def find_odd_sizes(records: Sequence[Record], facts: dict[str, FileFacts]) -> Iterator[Finding]:
    """Images whose area or aspect ratio is far from that of the others of their dataset.

    Far: its logarithm is more than eight times the median deviation, and a factor of at least 2, from the median.
    """
    spaces: dict[str, list[str]] = defaultdict(list)
    for path, record in {record.path: record for record in records}.items():
        if facts[path].size is not None:
            spaces[record.space].append(path)
    for paths in spaces.values():
        sizes = np.asarray([facts[path].size for path in paths], dtype=np.float64)
        odd: dict[str, list[str]] = defaultdict(list)
        for what, values in (('area', sizes.prod(axis=1)), ('aspect ratio', sizes[:, 0] / sizes[:, 1])):
            values = np.log(values)
            far = np.abs(values - np.median(values))
            for row in np.flatnonzero(far > max(np.log(2), 8 * np.median(far))):
                odd[paths[row]].append(what)
        height, width = np.median(sizes, axis=0)
        for path, what in sorted(odd.items()):
            found = facts[path].size
            yield Finding('size', f'image "{path}" is {found[0]} x {found[1]} (height x width): its '
                          f'{" and ".join(what)} is far from the median, {height:.0f} x {width:.0f}', (path,))


def find_dark(records: Sequence[Record], facts: dict[str, FileFacts]) -> Iterator[Finding]:
    """Images whose brightest pixel is nearly black, in one finding."""
    dark = [path for path in _splits_of(records) if facts[path].brightest is not None and facts[path].brightest < _DARK]
    if dark:
        named = ', '.join(f'"{path}"' for path in dark[:3]) + (' ...' if len(dark) > 3 else '')
        yield Finding('dark', f'{len(dark):,} image(s) have no pixel above {_DARK - 1} of 255: {named}. Of 16-bit '
                      'files the upper 8 bits are read: where values fill fewer than 16 bits, stretch and save them '
                      'again', tuple(dark))


def find_shared_people(records: Sequence[Record]) -> Iterator[Finding]:
    """Identities that are trained on and tested."""
    train = {record.person for record in records if record.is_person and record.split == 'train'}
    test = {record.person for record in records if record.is_person and record.split in _TEST_SPLITS}
    for space in sorted({person[0] for person in train & test}):
        pids = sorted(pid for owner, pid in train & test if owner == space)
        yield Finding('train-and-test', f'{len(pids):,} identities are in the training and in the test data: '
                      f'{_some(pids)}')


def find_lonely_people(records: Sequence[Record]) -> Iterator[Finding]:
    """Identities that training or evaluation can make little of: one image, or images of one camera only."""
    people: dict[tuple[str, str], dict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
    known = _spaces_with_cameras(records)
    for record in dict.fromkeys(records):
        if record.is_person and record.split in ('train', 'gallery'):
            people[record.space, record.split][record.pid].append(record)
    for (space, split), images in sorted(people.items()):
        single = [pid for pid, own in images.items() if len(own) == 1]
        camera = [pid for pid, own in images.items() if len({record.camid for record in own}) == 1 and space in known]
        for what, pids in (('image', sorted(single)), ('camera', sorted(camera))):
            if pids:
                yield Finding(f'one-{what}', f'{split}: {len(pids):,} of {len(images):,} identities have one {what}: '
                              f'{_some(pids)}')


def find_lost_queries(records: Sequence[Record]) -> Iterator[Finding]:
    """Queries without a match from another camera."""
    cameras: dict[tuple[str, int], set[int]] = defaultdict(set)
    for record in records:
        if record.split == 'gallery':
            cameras[record.person].add(record.camid)
    known = _spaces_with_cameras(records)
    queries = list(dict.fromkeys(record for record in records if record.split == 'query' and record.space in known))
    lost = [query for query in queries if not cameras[query.person] - {query.camid}]
    if lost:
        pids = sorted({query.pid for query in lost})
        yield Finding('no-match', f'query: {len(lost):,} of {len(queries):,} queries have no match from another camera '
                      f'(identities {_some(pids)})', tuple(query.path for query in lost))


def find_unknown_cameras(records: Sequence[Record]) -> Iterator[Finding]:
    """Datasets with one camera: the usual protocols, which want matches from another one, cannot be evaluated."""
    people = {record.space for record in records if record.is_person}
    for space in sorted({record.space for record in records} - _spaces_with_cameras(records)):
        matters = 'only the protocol "all" can be evaluated' if space in people else \
            'labels cannot be compared or made across cameras (CameraNormalised, CrossCameraNeighbours)'
        yield Finding('no-cameras', f'{space}: all images are of one camera, or the cameras are not known; {matters}')


def _spaces_with_cameras(records: Sequence[Record]) -> set[str]:
    cameras: dict[str, set[int]] = defaultdict(set)
    for record in records:
        cameras[record.space].add(record.camid)
    return {space for space, camids in cameras.items() if len(camids) > 1}


def size_histogram(facts: Iterable[FileFacts], limit: int = 10, width: int = 40) -> list[str]:
    """Sizes of the decoded images as lines of text.

    Args:
        facts (Iterable[FileFacts]): What reading the images has shown.
        limit (int): Most lines of each part. With more sizes than that, heights and widths are counted in intervals.
            Defaults to 10.
        width (int): Length of the longest bar. Defaults to 40.
    """
    sizes = Counter(fact.size for fact in facts if fact.size is not None)
    if len(sizes) <= limit:
        return _bars({f'{size[0]} x {size[1]}': number for size, number in sorted(sizes.items())}, width)
    lines = []
    for axis, name in enumerate(('height', 'width')):
        values = np.asarray([size[axis] for size in sizes.elements()])
        step = max(1, -(-int(values.max() - values.min() + 1) // limit))
        counted = Counter(((values - values.min()) // step).tolist())
        first = int(values.min())
        lines += _bars({f'{name} {first + row * step} to {first + (row + 1) * step - 1}': counted[row]
                        for row in range(max(counted) + 1)}, width)
    return lines


def _bars(counts: dict[str, int], width: int) -> list[str]:
    longest, most = max(map(len, counts), default=0), max(counts.values(), default=1)
    return [f'{name:<{longest}} {number:>9,} {"#" * -(-number * width // most)}'.rstrip()
            for name, number in counts.items()]


def _splits_of(records: Sequence[Record]) -> dict[str, str]:
    splits: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        splits[record.path][record.split] = None
    return {path: ', '.join(found) for path, found in splits.items()}


def _some(values: Sequence[int], limit: int = 10) -> str:
    return ', '.join(map(str, values[:limit])) + (' ...' if len(values) > limit else '')
