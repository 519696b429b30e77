"""Read the published splits of CUHK03."""

import json
import os.path as osp
from typing import NamedTuple

import numpy as np

from .splits import draw

#: Entries of the split files of the 767/700 protocol, by part.
_INDEX_KEYS = dict(train='train_idx', query='query_idx', gallery='gallery_idx')
_CONVERTER = 'tools/dataset_converters/cuhk03.py'


class NewProtocol(NamedTuple):
    """The 767/700 protocol: image names by part, and label and view by name."""

    names: dict[str, list[str]]
    labels: dict[str, int]
    views: dict[str, int]


class ClassicSplits(NamedTuple):
    """Test sets of the release, with what the converter found in ``cuhk-03.mat``."""

    #: Number of persons seen by each pair of cameras.
    identities: list[int]
    #: Number of images by box.
    images: dict[str, int]
    #: (pair, person) of the test identities, by split.
    testsets: list[list[tuple[int, int]]]


def read_new_protocol(path: str) -> NewProtocol:
    """Read ``cuhk03_new_protocol_config_*.mat``.

    Args:
        path (str): The file.

    Returns:
        NewProtocol: Names without ending, in the order of the file.

    Raises:
        ValueError: If the file is truncated, something else, or contradicts itself.
    """
    content = _load_mat(path)
    names = [osp.splitext(str(np.ravel(cell)[0]))[0] for cell in content['filelist']]
    if len({len(names), len(set(names)), len(content['labels']), len(content['camId'])}) != 1:
        raise ValueError(f'"{path}" contradicts itself: {len(names):,} names, {len(set(names)):,} of them different, '
                         f'{len(content["labels"]):,} labels, {len(content["camId"]):,} camera numbers')
    parts = {}
    for part, key in _INDEX_KEYS.items():
        rows = content[key].astype(np.int64) - 1  # MATLAB counts from 1
        if rows.size and not (0 <= rows.min() and rows.max() < len(names)):
            raise ValueError(f'"{path}": {key} goes from {rows.min() + 1:,} to {rows.max() + 1:,}, but there are '
                             f'{len(names):,} images')
        parts[part] = [names[row] for row in rows]
    labels = dict(zip(names, content['labels'].astype(np.int64).tolist()))
    _check_disjoint(path, parts, labels)
    return NewProtocol(parts, labels, dict(zip(names, content['camId'].astype(np.int64).tolist())))


def read_classic_splits(path: str) -> ClassicSplits:
    """Read ``splits_classic.json``, written by the converter.

    Args:
        path (str): The file.

    Returns:
        ClassicSplits: Test sets, and sizes of the release.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        testsets = [[(int(pair), int(person)) for pair, person in testset] for testset in content['testsets']]
        identities = [int(number) for number in content['identities']]
        images = {box: int(number) for box, number in content['images'].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f'"{path}" is damaged ({type(error).__name__}: {error}); {_CONVERTER} --force writes it '
                         'again') from None
    for number, testset in enumerate(testsets):
        strange = [key for key in testset if not (1 <= key[0] <= len(identities)
                                                  and 1 <= key[1] <= identities[key[0] - 1])]
        if strange or len(set(testset)) != len(testset):
            raise ValueError(f'"{path}": testset {number} names persons twice or that are not there: '
                             f'{strange[:5] or testset[:5]}')
    return ClassicSplits(identities, images, testsets)


def identity(pair: int, person: int) -> int:
    """Identity of a person; nobody is seen by two pairs of cameras."""
    return 1000 * pair + person


def draw_classic_parts(splits: ClassicSplits, split_id: int, pairs: tuple[int, ...], num_val: int) -> dict[int, str]:
    """Assign the identities of a classic split to training, validation and test.

    The test identities are those of the release. The release does not name the validation identities: they are drawn
    from the others of ``pairs``, with seed 0 and the number of the split.

    Args:
        splits (ClassicSplits): Test sets of the release.
        split_id (int): Number of the test set, from 0.
        pairs (Tuple[int, ...]): Pairs of cameras that take part.
        num_val (int): Number of validation identities.

    Returns:
        Dict[int, str]: ``'train'``, ``'val'`` or ``'test'`` by identity. Identities of other pairs are absent.

    Raises:
        ValueError: If nobody would be left for training.
    """
    test = {identity(pair, person) for pair, person in splits.testsets[split_id]}
    everybody = {identity(pair, person) for pair in pairs for person in range(1, splits.identities[pair - 1] + 1)}
    others = everybody - test
    if num_val >= len(others):
        raise ValueError(f'CUHK03: {num_val} validation identities of {len(others)} leave none for training')
    parts = dict.fromkeys(others, 'train')
    parts.update(dict.fromkeys(draw(others, num_val, split_id=split_id), 'val'))
    parts.update(dict.fromkeys(test, 'test'))
    return parts


def _load_mat(path: str) -> dict[str, np.ndarray]:
    from scipy.io import loadmat
    keys = ['filelist', 'labels', 'camId', *_INDEX_KEYS.values()]
    try:
        content = loadmat(path, variable_names=keys)
    except Exception as error:  # scipy raises eight kinds of error for a damaged file, zlib.error among them
        raise ValueError(f'"{path}" ({osp.getsize(path):,} bytes) cannot be read as a MATLAB file '
                         f'({type(error).__name__}: {error}); it is truncated or something else. Get it anew from the '
                         'authors of the protocol') from None
    missing = [key for key in keys if key not in content]
    if missing:
        raise ValueError(f'"{path}" holds no {", ".join(missing)}; is it the published split file of the 767/700 '
                         'protocol?')
    return {key: content[key].ravel() for key in keys}


def _check_disjoint(path: str, parts: dict[str, list[str]], labels: dict[str, int]) -> None:
    used = [name for names in parts.values() for name in names]
    if len(set(used)) != len(used):
        raise ValueError(f'"{path}": {len(used) - len(set(used)):,} images are in more than one part')
    trained = {labels[name] for name in parts['train']}
    tested = {labels[name] for part in ('query', 'gallery') for name in parts[part]}
    if trained & tested:
        raise ValueError(f'"{path}": {len(trained & tested):,} identities are in the training and in the test part')
