"""Reading and writing checkpoint files so that a crash, a full disk or a stranger's file does no harm.

A checkpoint holds tensors and plain Python types only and is read with ``weights_only=True``: it cannot run code. It is
written to a temporary file in the same folder, flushed to disk, read back and verified, and only then renamed over its
final name, so that a reader meets either the old file or the whole new one.
"""

import os
import pickle
import re
import shutil
import socket
import zipfile
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Union

import numpy as np
import torch

_STEP = re.compile(r'^(epoch|iter)_(\d+)\.pth$')
_TEMPORARY = re.compile(r'^\.(?P<name>.+)\.(?P<host>[^.]+)\.(?P<pid>\d+)\.tmp$')
_TORCH = tuple(int(part) for part in re.findall(r'\d+', torch.__version__)[:2])


class CheckpointError(RuntimeError):
    """A checkpoint could not be written, read or trusted; the message says which and what to do."""


def plain(value: Any, path: str = 'checkpoint') -> Any:
    """Convert nested containers to tensors (on the CPU) and plain Python types.

    Numpy arrays become tensors, numpy scalars Python numbers, subclasses of dict and list their base class.

    Args:
        value: Nested mappings, sequences, tensors, arrays and scalars.
        path: Name of ``value``, used in error messages.

    Raises:
        CheckpointError: If something is none of these; the message gives its place and type.
    """
    if value is None or isinstance(value, (bool, bytes)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, (np.bool_, Integral)):
        return bool(value) if isinstance(value, np.bool_) else int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {plain(key, path): plain(item, f'{path}[{key!r}]') for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [plain(item, f'{path}[{i}]') for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    raise CheckpointError(f'{path} is a {type(value).__module__}.{type(value).__name__}, which a checkpoint cannot '
                          'hold. Expected tensors, arrays, numbers, strings, None and dicts, lists or tuples of them.')


def write_checkpoint(checkpoint: Dict[str, Any], path: Union[str, Path]) -> None:
    """Write a checkpoint so that ``path`` is either untouched or whole.

    Args:
        checkpoint: What to save; converted with :func:`plain`.
        path: Final file name on a local or mounted file system.

    Raises:
        CheckpointError: If the file cannot be written or read back; the previous file of that name is kept.
    """
    path = Path(path)
    content = plain(checkpoint)
    temporary = path.parent / f'.{path.name}.{_host()}.{os.getpid()}.tmp'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, 'wb') as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        verify_checkpoint(temporary)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        written = temporary.stat().st_size if temporary.exists() else 0
        temporary.unlink(missing_ok=True)
        free = shutil.disk_usage(path.parent).free if path.parent.exists() else 0
        raise CheckpointError(
            f'Could not write {path}: {error} ({written / 2**20:.1f} MiB were written, {free / 2**20:.1f} MiB are free '
            'in that folder now). Earlier checkpoints are untouched. Free some space, or set another '
            '--work-dir, and continue with --resume.') from error


def write_text(text: str, path: Union[str, Path]) -> None:
    """Replace a small text file in one step (temporary file, flush, rename)."""
    path = Path(path)
    temporary = path.parent / f'.{path.name}.{_host()}.{os.getpid()}.tmp'
    try:
        with open(temporary, 'w', encoding='utf-8') as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def verify_checkpoint(path: Union[str, Path]) -> None:
    """Check every record of a checkpoint file against its checksum.

    Raises:
        CheckpointError: If the file is missing, empty, truncated or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f'{path} does not exist. Expected a checkpoint file (*.pth).')
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f'{path} ({path.stat().st_size} bytes) is not a whole checkpoint file: it is empty, '
                              'truncated, or not written by torch.save of torch >= 1.6.')
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise CheckpointError(f'{path} is damaged: {error}.') from error
    if damaged is not None:
        raise CheckpointError(f'{path} is damaged: record {damaged} does not match its checksum.')


def read_checkpoint(path: Union[str, Path], map_location: Union[str, torch.device] = 'cpu') -> Dict[str, Any]:
    """Read a checkpoint without running any code from it.

    Args:
        path: Local file, or an ``http(s)://`` address.
        map_location: Device the tensors go to.

    Returns:
        dict: The checkpoint. A bare state dict is returned as ``{'state_dict': ...}``.

    Raises:
        CheckpointError: If the file is missing, damaged, or holds anything but tensors and plain types.
    """
    try:
        if str(path).startswith(('http://', 'https://')):
            checkpoint = torch.hub.load_state_dict_from_url(str(path), map_location=map_location, weights_only=True)
        else:
            if not Path(path).is_file():
                raise CheckpointError(f'Checkpoint {path} does not exist (looked for {Path(path).absolute()}).')
            if not zipfile.is_zipfile(path) and _TORCH < (2, 6):
                raise CheckpointError(f'{path} is in the format of torch < 1.6 or damaged. torch {torch.__version__} '
                                      'cannot read that format without risk (CVE-2025-32434): use torch >= 2.6.')
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{path} was refused: it is damaged or holds Python objects, which could run code when they are loaded '
            f'({str(error).splitlines()[0]}). Only tensors and plain types are accepted. If you trust its source, load '
            "it once with torch.load(path, weights_only=False) and save {'state_dict': ...} alone.") from error
    except CheckpointError:
        raise
    except Exception as error:  # bytes that are no checkpoint fail in many ways inside torch
        raise CheckpointError(f'{path} could not be read: {type(error).__name__}: {error}') from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{path} holds a {type(checkpoint).__name__}, expected a dict of tensors.')
    return checkpoint if 'state_dict' in checkpoint else {'state_dict': checkpoint}


def resumable_checkpoints(folder: Union[str, Path]) -> List[Path]:
    """Files ``epoch_N.pth`` and ``iter_N.pth`` of a folder, newest training step first.

    Where both kinds are present their steps cannot be compared, so the modification time decides.
    """
    folder = Path(folder)
    found = [(path, _STEP.match(path.name)) for path in (folder.iterdir() if folder.is_dir() else ())]
    found = [(path, match) for path, match in found if match]
    if len({match.group(1) for _, match in found}) > 1:
        return sorted((path for path, _ in found), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [path for path, _ in sorted(found, key=lambda item: checkpoint_step(item[0]), reverse=True)]


def checkpoint_step(path: Path) -> int:
    """The number in ``epoch_N.pth`` or ``iter_N.pth``."""
    return int(_STEP.match(path.name).group(2))


def remove_stale_temporaries(folder: Union[str, Path]) -> List[Path]:
    """Delete temporary checkpoint files left by processes of this host that are gone; return what was deleted."""
    removed = []
    for path in Path(folder).glob('.*.tmp'):
        match = _TEMPORARY.match(path.name)
        if match and match['host'] == _host() and not _alive(int(match['pid'])):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def strip_prefix(state_dict: Mapping[str, torch.Tensor], prefix: str) -> Dict[str, torch.Tensor]:
    """Entries under ``prefix`` with it removed, or all entries if none is under it."""
    inside = {key[len(prefix):]: value for key, value in state_dict.items() if key.startswith(prefix)}
    return inside or dict(state_dict)


def _host() -> str:
    return re.sub(r'[^A-Za-z0-9_-]', '-', socket.gethostname()) or 'host'


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Flush a rename to disk; not every file system can."""
    descriptor: Optional[int] = None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        if descriptor is not None:
            os.close(descriptor)
