"""What the command-line tools share: errors in one line, and outputs that are checked before anything is computed."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Optional, Union

import torch

from .build_errors import component_of, explain
from .checkpoint import CheckpointError

#: Environment variable that shows the traceback of an error instead of one line.
DEBUG_ENV = 'MMREID_DEBUG'
#: Mistakes in what a user passes. Anything else is a fault of the program and shows its traceback.
USER_ERRORS = (CheckpointError, ValueError, KeyError, TypeError, OSError, ImportError)


@contextmanager
def plain_errors(*kinds: type[Exception]) -> Iterator[None]:
    """End the program with one line where one of these errors (:data:`USER_ERRORS` by default) is raised.

    Whatever of :data:`USER_ERRORS` ends the building of a component is a mistake in the config, so it is one of them.
    ``MMREID_DEBUG=1`` shows the traceback.
    """
    try:
        yield
    except BrokenPipeError:  # the reader of the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get(DEBUG_ENV):
            raise
        component = component_of(error) if isinstance(error, USER_ERRORS) else None
        if not isinstance(error, kinds or USER_ERRORS):
            if component is None:
                raise
            sys.exit(f'{type(error).__name__}: {explain(error, component)} ({DEBUG_ENV}=1 shows where)')
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        sys.exit(f'{type(error).__name__}: {_of_worker(str(text))}')


def _of_worker(text: str) -> str:
    """The message of an error in a loading process, which PyTorch hands on with the traceback there."""
    if not re.match(r'Caught \w+ in DataLoader worker process', text):
        return text
    return text.rstrip().rpartition('\n')[2].partition(': ')[2]


def say(text: str) -> None:
    """Print, also where the terminal cannot show every character."""
    encoding = sys.stdout.encoding or 'utf-8'
    print(text.encode(encoding, errors='replace').decode(encoding), flush=True)


def check_output(path: Union[str, Path], suffixes: Sequence[str], option: str,
                 taken: Sequence[Union[str, Path, None]] = ()) -> Path:
    """Make sure that a file can be written before minutes are spent on its content.

    Args:
        path (str | Path): File to be written.
        suffixes (Sequence[str]): Endings that it may have.
        option (str): Name of the option, for the message.
        taken (Sequence[str | Path | None]): Inputs and other outputs, which it must not replace.

    Raises:
        ValueError: If it has another ending, is a folder, or is one of the other files.
        OSError: If its folder cannot be made or written to.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f'{option} must name a file that ends in {" or ".join(suffixes)}, got {str(path)!r}')
    if path.is_dir():
        raise ValueError(f'{option} must name a file, and {path} is a folder')
    for other in taken:
        if other is not None and path.resolve() == Path(other).resolve():
            raise ValueError(f'{option} must not be {other}, which is an input or another output')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(f'{option}: the folder {path.parent.resolve()} cannot be written to ({error.strerror}); name '
                      'another place') from error
    return path


def check_device(device: Optional[str]) -> Optional[str]:
    """Return the device if it is ``None``, ``'cpu'``, ``'cuda'`` or ``'cuda:N'`` and there.

    Raises:
        ValueError: If it is not.
    """
    if device in (None, 'cpu'):
        return device
    found = re.fullmatch(r'cuda(?::(\d+))?', device)
    if found and int(found[1] or 0) < torch.cuda.device_count():
        return device
    raise ValueError(f'the device must be cpu, or cuda or cuda:N where there is one, got {device!r}')
