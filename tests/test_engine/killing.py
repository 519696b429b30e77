"""A training in another process that is killed."""

import operator
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def killed_training(program: str, work_dir: Path, draw: random.Random, longest: float, progress: Callable[[Path], Any],
                    advanced: Callable[[Any, Any], bool] = operator.ne) -> None:
    """Start (or resume) a training and kill it at a random moment, at most ``longest`` seconds after it has advanced.

    ``program`` is Python that trains in the folder of its first argument; ``progress`` says how far it has come.
    """
    before = progress(work_dir)
    process = subprocess.Popen([sys.executable, '-c', program, str(work_dir)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not advanced(before, progress(work_dir)):
        assert process.poll() is None, f'the training ended by itself ({process.returncode})'
        assert time.monotonic() < deadline, 'nothing was finished in two minutes'
        time.sleep(0.005)
    time.sleep(draw.uniform(0, longest))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
