"""Find a dataset's folder, or say precisely why it was not found."""

import os
import os.path as osp
from collections.abc import Sequence

#: Environment variable whose folder stands in for the leading ``data/`` of a relative ``data_root``.
DATA_ROOT_ENV = 'MMREID_DATA_ROOT'
#: Where the user is sent for more.
DATASETS_GUIDE = 'docs/en/datasets.md'


def resolve_data_root(data_root: str) -> str:
    """Apply ``MMREID_DATA_ROOT`` to a relative root.

    Args:
        data_root (str): As written in a config, for example ``'data/Market-1501-v15.09.15'``.

    Returns:
        str: With ``MMREID_DATA_ROOT=/x`` set, ``'/x/Market-1501-v15.09.15'``. Absolute roots and roots that do not
        start with ``data/`` stay as they are; a leading ``~`` is expanded.
    """
    data_root = osp.normpath(osp.expanduser(data_root))
    moved = os.environ.get(DATA_ROOT_ENV)
    first, _, rest = data_root.replace(os.sep, '/').partition('/')
    if moved and first == 'data':
        return osp.join(osp.expanduser(moved), rest) if rest else osp.expanduser(moved)
    return data_root


def require_folders(root: str, folders: Sequence[str], *, dataset: str, tree: str, configured: str) -> None:
    """Check that a dataset's folders are there.

    Args:
        root (str): Resolved root folder.
        folders (Sequence[str]): Sub-folders that must exist in it.
        dataset (str): Name of the dataset, for the message.
        tree (str): The expected tree, for the message.
        configured (str): ``data_root`` as the user wrote it, for the message.

    Raises:
        FileNotFoundError: If the root or one of the folders is missing. The message holds what was looked for, the
            expected tree, the likely right folder, the environment variable and where to read more.
    """
    missing = [folder for folder in folders if not osp.isdir(osp.join(root, folder))]
    if osp.isdir(root) and not missing:
        return
    if osp.isdir(root):
        reason = f'"{osp.abspath(root)}" has no folder {" and no folder ".join(repr(name) for name in missing)}'
    elif osp.exists(root):
        reason = f'"{osp.abspath(root)}" is not a folder'
    else:
        reason = f'the folder "{osp.abspath(root)}" does not exist'
    lines = [f'{dataset}: {reason} (data_root={configured!r}, {_describe_env()}).', 'Expected tree:', tree.rstrip('\n')]
    better = suggest_root(root, folders)
    if better is not None:
        lines.append(f'Did you mean data_root={better!r}? It has {", ".join(folders)}.')
    lines.append(f'Pass the folder as `data_root`, or set {DATA_ROOT_ENV} to the folder that takes the place of '
                 f'"data/". {DATASETS_GUIDE} says how to get the dataset.')
    raise FileNotFoundError('\n'.join(lines))


def suggest_root(root: str, folders: Sequence[str]) -> str | None:
    """Look one level up, one level down and beside ``root`` for a folder that holds all ``folders``."""
    for candidate in _neighbours(osp.normpath(root)):
        if all(osp.isdir(osp.join(candidate, folder)) for folder in folders):
            return candidate
    return None


def _neighbours(root: str) -> list[str]:
    parent = osp.dirname(root) or '.'
    return [parent, *_subfolders(root), *_subfolders(parent)]


def _subfolders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir())
    except OSError:
        return []


def _describe_env() -> str:
    value = os.environ.get(DATA_ROOT_ENV)
    return f'{DATA_ROOT_ENV}={value}' if value else f'{DATA_ROOT_ENV} is not set'
