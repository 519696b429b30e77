"""Lists of images with their identities, cameras and splits, as CSV or JSON."""

import csv
import io
import json
import os
import os.path as osp
from collections.abc import Iterator
from typing import Any, NamedTuple

#: Parts a line can belong to.
SPLIT_NAMES = ('train', 'query', 'gallery', 'multi_query')
#: Columns (CSV) or keys (JSON) that are read; others are ignored.
COLUMNS = ('path', 'pid', 'camid', 'split')
JUNK = '-1'


class Annotation(NamedTuple):
    """One image of a list; ``where`` is its place in the file, in words."""

    path: str
    pid: str
    camid: int | None
    split: str | None
    where: str


def read_annotations(path: str, *, labels: bool = True) -> list[Annotation]:
    """Read a list of images.

    A CSV file has a header with ``path``, ``pid`` and, where known, ``camid`` and ``split``; it is UTF-8 (a byte order
    mark does not matter) with any line ends, separated by commas, semicolons or tabs. A JSON file holds a list of
    objects with these keys. ``pid`` may be any text; ``camid`` is an integer from 0 on; ``split`` is ``'train'``,
    ``'query'``, ``'gallery'`` or ``'multi_query'``. ``camid`` and ``split`` are given for all images or for none.

    Args:
        path (str): File that ends in ``.csv`` or ``.json``.
        labels (bool): Whether identities are needed. Without, ``pid`` may be absent and is -1 everywhere. Defaults to
            True.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read as described; the message names the line (JSON: the entry).
    """
    suffix = osp.splitext(path)[1].lower()
    readers = {'.csv': _read_csv, '.json': _read_json}
    if suffix not in readers:
        raise ValueError(f'annotations must be a file .csv or .json, got "{path}"')
    if not osp.isfile(path):
        raise FileNotFoundError(f'the file of annotations "{osp.abspath(path)}" does not exist. A relative path is '
                                'looked up in data_root.')
    text = _read_text(path)
    required = ('path', 'pid') if labels else ('path', )
    found = [_parse(entry, f'"{path}", {where}', required, labels) for where, entry in readers[suffix](path, text)]
    if not found:
        raise ValueError(f'"{path}" lists no image')
    _check_complete(found)
    return found


def write_annotations(path: str, annotations: list[Annotation], *, force: bool = False) -> None:
    """Write a CSV file that :func:`read_annotations` reads back; ``camid`` and ``split`` only where they are known.

    Args:
        path (str): File to write.
        annotations (List[Annotation]): Its lines.
        force (bool): Replace an existing file. Defaults to False.

    Raises:
        FileExistsError: If the file exists and ``force`` is not set.
    """
    columns = [name for name in COLUMNS if name in ('path', 'pid') or getattr(annotations[0], name) is not None]
    with open(path, 'w' if force else 'x', encoding='utf-8', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(columns)
        writer.writerows([getattr(annotation, name) for name in columns] for annotation in annotations)


def _read_text(path: str) -> str:
    try:
        with open(path, encoding='utf-8-sig', newline='') as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f'"{path}" is not UTF-8 (byte {error.start}); save it as "CSV UTF-8"') from None


def _read_csv(path: str, text: str) -> Iterator[tuple[str, dict]]:
    text = text.replace('\r\n', '\n').replace('\r', '\n')
    header = text.partition('\n')[0]
    lines = csv.reader(io.StringIO(text), delimiter=max(',;\t', key=header.count))
    columns = [name.strip().lower() for name in next(lines, [])]
    twice = sorted({name for name in columns if name in COLUMNS and columns.count(name) > 1})
    if 'path' not in columns or twice:
        raise ValueError(f'"{path}", line 1: expected a header path,pid[,camid][,split], got {header!r}')
    try:
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue  # a blank line
            where = f'line {lines.line_num}'
            if len(cells) != len(columns):
                raise ValueError(f'"{path}", {where}: {len(columns)} values expected ({",".join(columns)}), '
                                 f'got {len(cells)}: {cells}')
            yield where, dict(zip(columns, cells))
    except csv.Error as error:
        raise ValueError(f'"{path}", line {lines.line_num}: {error}') from None


def _read_json(path: str, text: str) -> Iterator[tuple[str, dict]]:
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f'"{path}", line {error.lineno}: not JSON: {error.msg}') from None
    if not isinstance(entries, list):
        raise ValueError(f'"{path}": expected a list of objects, got {type(entries).__name__}')
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise ValueError(f'"{path}", entry {number}: expected an object, got {entry!r}')
        yield f'entry {number}', entry


def _parse(entry: dict[str, Any], where: str, required: tuple[str, ...], labels: bool) -> Annotation:
    values = {}
    for name in COLUMNS:
        value = entry.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
            raise ValueError(f'{where}: {name} must be text or an integer, got {value!r}')
        text = '' if value is None else str(value)
        values[name] = text if name == 'path' else text.strip()  # a folder may begin with a space
    missing = [name for name in required if not values[name].strip()]
    if missing:
        raise ValueError(f'{where}: no {" and no ".join(missing)}, got {entry}')
    split = values['split'].lower()
    if split and split not in SPLIT_NAMES:
        raise ValueError(f'{where}: split must be one of {", ".join(SPLIT_NAMES)}, got {values["split"]!r}')
    return Annotation(_native(values['path']), values['pid'] if labels else JUNK,
                      _parse_camera(values['camid'], where), split or None, where)


def _parse_camera(text: str, where: str) -> int | None:
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ValueError(f'{where}: camid must be an integer from 0 on, got {text!r}')
    return int(text) if text else None


def _check_complete(found: list[Annotation]) -> None:
    for name in ('camid', 'split'):
        missing = [annotation for annotation in found if getattr(annotation, name) is None]
        if 0 < len(missing) < len(found):
            raise ValueError(f'{missing[0].where}: no {name}, though others have one ({len(missing):,} of '
                             f'{len(found):,} have none). Give it for all images or for none.')


def _native(path: str) -> str:
    return path if os.sep == '\\' else path.replace('\\', '/')  # written on Windows
