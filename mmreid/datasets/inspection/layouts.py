"""Recognise a dataset by how its folder is laid out."""

import os
import os.path as osp
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..annotation_file import read_annotations
from ..data_root import resolve_data_root
from ..folder_scan import PART_FOLDERS
from ..image_io import IMAGE_SUFFIXES

_MARKET_FOLDERS = ('bounding_box_train', 'bounding_box_test', 'query')
_MSMT17_LISTS = ('list_train.txt', 'list_val.txt', 'list_query.txt', 'list_gallery.txt')


class Layout(NamedTuple):
    """A dataset type and what it was recognised by."""

    #: Name in the ``DATASETS`` registry.
    type: str
    #: Folder to give it as ``data_root``; None: the default of the type.
    root: str | None
    #: What in the folder says so, in words.
    reason: str
    #: Further options of the type, with which all of its images are read.
    options: dict = {}

    def settings(self, **options) -> list[dict]:
        """Configs of the datasets that together hold all splits.

        Args:
            **options: Options of the type, before those of the layout; with ``split``, only that one is read.
        """
        root = {} if self.root is None else dict(data_root=self.root)
        chosen = {**self.options, **options}
        splits = [chosen.pop('split')] if 'split' in chosen else dataset_splits(self.type, self.root, chosen)
        return [dict(type=self.type, split=split, **root, **chosen) for split in splits]


def dataset_splits(type_name: str, root: str | None, options: Mapping[str, Any] | None = None) -> Sequence[str]:
    """Splits to read to see all of a dataset.

    Args:
        type_name (str): Name in the ``DATASETS`` registry.
        root (str, optional): Its folder.
        options (Mapping, optional): Its further options.
    """
    if type_name == 'WARD' and (options or {}).get('split_id') is None:  # no test split is published
        return ['train']
    if type_name == 'FolderReID':
        return _folder_splits(resolve_data_root(root or ''), options or {})
    return ['train', 'test']


def _folder_splits(root: str, options: Mapping[str, Any]) -> Sequence[str]:
    """Those that the folder or the list has; where there are none, all images as they are, and none is drawn."""
    if not options.get('labels', True) or not osp.isdir(root):
        return ['all']
    if options.get('annotations'):
        given = {image.split for image in read_annotations(osp.join(root, options['annotations']))} - {None}
    else:
        given = {name for name in PART_FOLDERS if osp.isdir(osp.join(root, name))}
    found = ['train'] * ('train' in given) + ['test'] * ({'query', 'gallery'} <= given)
    return found or ['all']


def recognise_layout(root: str) -> Layout:
    """Find the reader for a folder by the names of what is in it.

    Args:
        root (str): Folder of the dataset.

    Returns:
        Layout: The first that fits of DukeMTMC-reID, Market-1501, MSMT17, PRID 2011, VIPeR, WARD, CUHK03 and CUHK01;
        ``FolderReID`` for all other folders: with the only ``.csv`` in it that lists images, without labels if there
        are images but no folders.

    Raises:
        FileNotFoundError: If ``root`` is no folder, is empty, or if not it but a folder in it has a known layout.
    """
    root = resolve_data_root(root)
    if not osp.isdir(root):
        what = 'is not a folder' if osp.exists(root) else 'does not exist'
        raise FileNotFoundError(f'"{osp.abspath(root)}" {what}; a folder with a dataset, or a config (.py), was '
                                'expected')
    if not os.listdir(root):
        raise FileNotFoundError(f'"{osp.abspath(root)}" is empty; a folder with a dataset was expected')
    known = _known_layout(root)
    if known is not None:
        return known
    inside = [layout for name in sorted(os.listdir(root)) if osp.isdir(osp.join(root, name))
              and (layout := _known_layout(osp.join(root, name))) is not None]
    # Datasets that are known by the names of their images alone are no reason to doubt folders of identities.
    inside = [layout for layout in inside if layout.type not in _KNOWN_BY_NAMES] or (inside if len(inside) == 1 else [])
    if inside:
        roots = ', '.join(f'{layout.root!r} ({layout.type})' for layout in inside)
        raise FileNotFoundError(f'"{osp.abspath(root)}" is no dataset, but holds some. Did you mean {roots}? '
                                '(To read it as it is: --type FolderReID.)')
    return _own_images(root)


#: Readers that :func:`recognise_layout` chooses by the names of images in one folder.
_KNOWN_BY_NAMES = ('CUHK01', 'WARD')


def _own_images(root: str) -> Layout:
    names = sorted(name for name in os.listdir(root) if not name.startswith('.'))
    lists = [name for name in names if name.lower().endswith('.csv') and _lists_images(osp.join(root, name))]
    if len(lists) == 1:
        return Layout('FolderReID', root, f'images listed in {lists[0]}', dict(annotations=lists[0]))
    if not any(osp.isdir(osp.join(root, name)) for name in names) and _image_names(root):
        return Layout('FolderReID', root, 'images without folders of identities, so without labels', dict(labels=False))
    return Layout('FolderReID', root, 'none of the published layouts, so folders of identities')


def _lists_images(path: str) -> bool:
    with open(path, encoding='utf-8-sig', errors='replace') as file:
        return 'path' in re.split(r'[,;\t]', file.readline().strip().lower().replace('"', ''))


def _known_layout(root: str) -> Layout | None:
    names = set(os.listdir(root))
    for rule in _RULES:
        layout = rule(root, names)
        if layout is not None:
            return layout
    return None


def _market(root: str, names: set[str]) -> Layout | None:
    found = [name for name in _MARKET_FOLDERS if osp.isdir(osp.join(root, name))]
    if not found or found == ['query']:  # a folder called "query" alone says little
        return None
    examples = _image_names(osp.join(root, found[0]))
    duke = _share(examples, r'\d+_c\d+_f\d+') > 0.5
    reason = f'folders {", ".join(found)}' + (', names with frame numbers (_f0123)' if duke else '')
    return Layout('DukeMTMCreID' if duke else 'Market1501', root, reason)


def _msmt17(root: str, names: set[str]) -> Layout | None:
    found = [name for name in _MSMT17_LISTS if name in names]
    options = dict(train_on='train+val') if 'list_val.txt' in found else {}
    return Layout('MSMT17', root, f'lists {", ".join(found)}', options) if len(found) >= 2 else None


def _prid(root: str, names: set[str]) -> Layout | None:
    if 'single_shot' in names:
        return Layout('PRID2011', root, 'folder single_shot')
    if {'cam_a', 'cam_b'} <= names and _share(_image_names(osp.join(root, 'cam_a')), r'person_\d+') > 0.5:
        parent = osp.dirname(osp.normpath(root)) or '.'
        return Layout('PRID2011', parent, 'folders cam_a, cam_b of person_... images; the root is one level up')
    return None


def _viper(root: str, names: set[str]) -> Layout | None:
    return Layout('VIPeR', root, 'folders cam_a, cam_b') if {'cam_a', 'cam_b'} <= names else None


def _ward(root: str, names: set[str]) -> Layout | None:
    for folder in (root, osp.join(root, 'WARD')):
        if _share(_image_names(folder), r'\d{12}\.') > 0.5:
            return Layout('WARD', root, 'names of twelve digits: identity, camera, frame')
    return None


def _cuhk03(root: str, names: set[str]) -> Layout | None:
    found = sorted(name for name in names if re.fullmatch(
        r'cuhk-03\.mat|cuhk03_new_protocol_config_\w+\.mat|splits_classic\.json|images_(detected|labeled)', name))
    if not found:
        return None
    box = 'labeled' if 'images_detected' not in names and 'images_labeled' in names else 'detected'
    classic = f'cuhk03_new_protocol_config_{box}.mat' not in names and 'splits_classic.json' in names
    options = dict(box=box, **(dict(protocol='classic', val=True) if classic else {}))
    return Layout('CUHK03', root, ', '.join(found), options)


def _cuhk01(root: str, names: set[str]) -> Layout | None:
    for folder in (root, osp.join(root, 'campus')):
        if _share(_image_names(folder), r'\d{7}\.') > 0.5:
            return Layout('CUHK01', root, 'names of seven digits: four of the identity, three of the image',
                          dict(setting='871/100'))
    return None


#: PRID before VIPeR: both have cam_a and cam_b.
_RULES: tuple[Callable[[str, set[str]], Layout | None], ...] = (
    _market, _msmt17, _prid, _viper, _ward, _cuhk03, _cuhk01)


def _image_names(folder: str, limit: int = 200) -> list[str]:
    if not osp.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        images = (entry.name for entry in entries if entry.name.lower().endswith(IMAGE_SUFFIXES))
        return [name for name, _ in zip(images, range(limit))]


def _share(names: list[str], pattern: str) -> float:
    return sum(re.match(pattern, name) is not None for name in names) / max(len(names), 1)
