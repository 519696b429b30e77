"""What makes the tests several times faster and changes no result. A test that starts a process does without it.

Most of a training on a few images went into three things around it: setting out the text of its config (yapf, five
times), looking through all that was ever imported for garbage (``gc.collect`` of each dataset), and reading the same
base configs.
"""

import ast
import copy
import gc
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable

from mmengine.config import Config
from mmengine.config import config as mmengine_config

CONFIGS = Path(__file__).parents[1] / 'configs'


def parse_only(text: str, **_: Any) -> tuple[str, bool]:
    """In place of yapf: the text must be Python, as yapf demands, and stays in as long lines as it has."""
    ast.parse(text)
    return text, True


def read_once(read: Callable, kept: dict, filename: Any, *args: Any, **kwargs: Any) -> tuple:
    """``Config._file2dict``, whose answers for a file below ``configs/`` are kept as long as the file is the same."""
    path = Path(filename).resolve()
    if not path.is_relative_to(CONFIGS) or not path.is_file():
        return read(filename, *args, **kwargs)
    # The name as it is given: texts and messages hold it.
    key = (str(filename), str(path), path.stat().st_mtime_ns, args, tuple(sorted(kwargs.items())))
    if key not in kept:
        kept[key] = read(filename, *args, **kwargs)
    return copy.deepcopy(kept[key])


def freeze() -> None:
    """Spare the garbage collector what is there now (modules, collected tests) where many modules have come."""
    if len(sys.modules) > freeze.modules + 100:
        freeze.modules = len(sys.modules)
        gc.collect()
        gc.freeze()


freeze.modules = 0


def install() -> None:
    """From now on, in this process."""
    if mmengine_config.FormatCode is not parse_only:
        mmengine_config.FormatCode = parse_only
        Config._file2dict = staticmethod(partial(read_once, Config._file2dict, {}))
