"""Tools run inside the process of the tests, which has imported already what takes a new process five seconds.

A test that is about processes (signals, ``torchrun``, environments, hash seeds) starts one; so does one test of each
tool whose start itself is to be seen (``tools/train.py``, ``test.py``, ``train_recipe.py``, ``eval_features.py``).
"""

import multiprocessing
import os
import random
import runpy
import subprocess
import sys
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Optional

import cv2
import numpy as np
import torch
from mmengine.utils import ManagerMixin

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / 'tools'


def run_tool(tool: str, *arguments: Any, cwd: Optional[Path] = None, env: Optional[dict] = None,
             merge: bool = False) -> subprocess.CompletedProcess:
    """``python tools/TOOL.py ARGUMENTS``, without a new process.

    Args:
        tool (str): File below ``tools/``, with or without ``.py``.
        *arguments: Of the command line; whatever is no text becomes text.
        cwd (Path, optional): Folder to run it in. Defaults to None, the current one.
        env (dict, optional): Variables of the environment to change. Defaults to None.
        merge (bool): Whether errors belong to the output, as with ``2>&1``. Defaults to False.

    Returns:
        CompletedProcess: With ``returncode``, ``stdout`` and ``stderr`` (None if merged). What the tool changes in the
        process is put back: see :func:`unchanged`.
    """
    path = str(TOOLS / tool) if tool.endswith('.py') else str(TOOLS / f'{tool}.py')
    return run_file(path, *arguments, cwd=cwd, env=env, merge=merge)


def run_file(path: str, *arguments: Any, cwd: Optional[Path] = None, env: Optional[dict] = None,
             merge: bool = False) -> subprocess.CompletedProcess:
    """The same for any file of Python."""
    argv = [str(path), *map(str, arguments)]
    with unchanged(), own_modules(Path(path).parent), captured(merge) as texts:
        sys.argv = argv
        sys.path.insert(0, str(Path(path).parent))
        os.environ.update(env or {})
        os.chdir(cwd or os.getcwd())
        warnings.showwarning = _show_warning
        code = _exit_code(str(path))
    return subprocess.CompletedProcess(argv, code, *texts)


def _exit_code(path: str) -> int:
    """Run a file to its end; say on the error output what an interpreter would say, and return its exit status."""
    try:
        runpy.run_path(path, run_name='__main__')
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except Exception as error:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename != path:  # those of this file and of runpy
            frames = frames.tb_next
        traceback.print_exception(error.with_traceback(frames or error.__traceback__), file=sys.stderr)
        return 1
    return 0


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """pytest collects warnings of a test; those of a program go to its error output."""
    print(warnings.formatwarning(message, category, filename, lineno, line), end='', file=file or sys.stderr)


@contextmanager
def captured(merge: bool) -> Iterator[list]:
    """Collect what is written to the two outputs by Python, by libraries in C and by child processes."""
    texts: list = []
    before = sys.stdout, sys.stderr
    with ExitStack() as stack:
        out = stack.enter_context(TemporaryFile())
        err = out if merge else stack.enter_context(TemporaryFile())
        for stream in (*before, sys.__stdout__, sys.__stderr__):
            stream.flush()
        saved = [os.dup(1), os.dup(2)]
        try:
            for number, file in ((1, out), (2, err)):
                os.dup2(file.fileno(), number)
            sys.stdout = open(1, 'w', encoding='utf-8', buffering=1, closefd=False)
            sys.stderr = open(2, 'w', encoding='utf-8', buffering=1, closefd=False, errors='backslashreplace')
            yield texts
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            sys.stdout, sys.stderr = before
            for number, descriptor in zip((1, 2), saved, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)
            for file in (out, err):
                file.seek(0)
            texts.append(out.read().decode())
            texts.append(None if merge else err.read().decode())


@contextmanager
def own_modules(folder: Path) -> Iterator[None]:
    """Modules beside a tool are imported anew, and forgotten afterwards: those of other folders have their names."""

    def beside() -> dict:
        return {name: module for name, module in list(sys.modules.items())
                if name != '__main__' and Path(getattr(module, '__file__', None) or '/').parent == folder}

    kept = beside()
    for name in kept:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in beside():
            del sys.modules[name]
        sys.modules.update(kept)


def _managers(kind: type = ManagerMixin) -> list[type]:
    """Loggers, message hubs, visualizers and scopes: whatever hands out named instances."""
    return [kind, *(below for child in kind.__subclasses__() for below in _managers(child))]


@contextmanager
def unchanged() -> Iterator[None]:
    """Put back what a program may change in its process, and begin without the named instances of mmengine.

    That is ``sys.argv``, ``sys.path``, the working folder, the environment, warning filters, what is known to
    ``ManagerMixin`` (loggers and the default scope among them: a fresh process has none, and a logger that was made
    earlier would write to another output), random numbers, threads of PyTorch and OpenCV, switches of cuDNN, the start
    method of processes, and settings and open figures of matplotlib.
    """
    argv, path, folder, environment = sys.argv, list(sys.path), os.getcwd(), dict(os.environ)
    instances = {manager: manager._instance_dict for manager in _managers()}
    for manager in instances:
        manager._instance_dict = OrderedDict()
    numbers = random.getstate(), np.random.get_state(), torch.get_rng_state()
    threads, opencv = torch.get_num_threads(), cv2.getNumThreads()
    cudnn = torch.backends.cudnn
    switches = cudnn.benchmark, cudnn.deterministic, torch.are_deterministic_algorithms_enabled()
    method = multiprocessing.get_start_method(allow_none=True)
    pyplot = sys.modules.get('matplotlib.pyplot')
    figures = set(pyplot.get_fignums()) if pyplot else set()
    settings = sys.modules['matplotlib'].rc_context() if 'matplotlib' in sys.modules else nullcontext()
    try:
        with warnings.catch_warnings(), settings:
            yield
    finally:
        sys.argv, sys.path[:] = argv, path
        os.chdir(folder)
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
        for manager in _managers():
            for instance in manager._instance_dict.values():
                for handler in getattr(instance, 'handlers', ()):
                    handler.close()
            manager._instance_dict = instances.get(manager, OrderedDict())
        random.setstate(numbers[0])
        np.random.set_state(numbers[1])
        torch.set_rng_state(numbers[2])
        torch.set_num_threads(threads)
        cv2.setNumThreads(opencv)
        cudnn.benchmark, cudnn.deterministic = switches[:2]
        torch.use_deterministic_algorithms(switches[2])
        multiprocessing.set_start_method(method, force=True)
        pyplot = sys.modules.get('matplotlib.pyplot')
        for number in set(pyplot.get_fignums()) - figures if pyplot else ():
            pyplot.close(number)
