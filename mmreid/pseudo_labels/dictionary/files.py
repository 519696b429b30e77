"""Dictionaries on disk."""

import json
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch

from .solver import DictionaryFit

#: Said in each file, so that another archive of arrays is not taken for one.
KIND = 'mmreid dictionary 1'


@dataclass
class Dictionary:
    """What a file holds: ``atoms``, float64 ``(K, C)``, the ``settings`` they were fitted with, and ``summary``, the
    course of the fit in plain numbers."""

    atoms: np.ndarray
    settings: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def num_channels(self) -> int:
        """Width of the features it is for."""
        return self.atoms.shape[1]


def save_dictionary(fit: DictionaryFit, path: Union[str, Path]) -> None:
    """Write the atoms of a fit and its settings to a file ``*.npz`` without Python objects; an earlier file stays whole
    until this one is.

    Raises:
        ValueError: If the file is not to end in ``.npz``.
    """
    path = Path(path)
    if path.suffix != '.npz':
        raise ValueError(f'a dictionary goes to a file *.npz, got {str(path)!r}')
    atoms = fit.atoms.cpu().numpy() if isinstance(fit.atoms, torch.Tensor) else fit.atoms
    texts = {name: np.array(json.dumps(value)) for name, value in (('settings', fit.settings),
                                                                   ('summary', fit.summary()))}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.tmp.npz')
    try:
        np.savez(temporary, kind=np.array(KIND), atoms=atoms, channels=np.array(atoms.shape[1]),
                 objective=np.array(fit.objective), **texts)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_dictionary(path: Union[str, Path]) -> Dictionary:
    """Read what :func:`save_dictionary` wrote; nothing in the file is run.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or no file of a dictionary.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no dictionary {path}; CoTrainingHook writes dictionary_round_N.npz to its '
                                'work directory, with fit_only=True without training')
    try:
        if not is_zipfile(path):
            raise ValueError('it is no archive of arrays')
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        missing = {'kind', 'atoms', 'channels', 'settings', 'summary'} - set(arrays)
        if missing or str(arrays['kind']) != KIND:
            raise ValueError(f'it is no dictionary ({", ".join(sorted(missing)) or arrays["kind"]})')
        atoms, channels = arrays['atoms'], int(arrays['channels'])
        settings, summary = (json.loads(str(arrays[name])) for name in ('settings', 'summary'))
        if atoms.ndim != 2 or atoms.dtype.kind != 'f' or 0 in atoms.shape or atoms.shape[1] != channels:
            raise ValueError(f'atoms must be real numbers of shape (K, {channels}), got {atoms.dtype} of shape '
                             f'{atoms.shape}')
        if not (np.einsum('kc,kc->k', atoms, atoms) <= 1 + 1e-6).all():
            raise ValueError('an atom is longer than 1 or not finite')
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(f'{path} cannot be read as a dictionary: {error}') from error
    return Dictionary(atoms.astype(np.float64), settings, summary)
