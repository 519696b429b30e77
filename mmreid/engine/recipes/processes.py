"""The processes that walk through a recipe together."""

import os
from collections.abc import Callable
from typing import Any, List

from mmengine.dist import broadcast_object_list, is_main_process

from mmreid.utils.checkpoint import CheckpointError

#: Variables in which a launcher tells a process its number and how many there are.
_VARIABLES = dict(pytorch=('RANK', 'WORLD_SIZE'), slurm=('SLURM_PROCID', 'SLURM_NTASKS'),
                  mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'))


def announced_rank(launcher: str) -> int:
    """Number of this process, known before the processes have met."""
    return int(os.environ.get(_VARIABLES[launcher][0], 0)) if launcher in _VARIABLES else 0


def announced_world_size(launcher: str) -> int:
    """How many processes there will be."""
    return int(os.environ.get(_VARIABLES[launcher][1], 1)) if launcher in _VARIABLES else 1


def on_first(task: Callable[[], Any]) -> Any:
    """Let the first process do something, and give its result to all of them (a collective call).

    File systems do not show all processes the same at the same time, and a full disk must not leave the others waiting.

    Raises:
        CheckpointError: On every process, if the task cannot read or write a file.
    """
    found: List[Any] = [None, None]
    if is_main_process():
        try:
            found[0] = task()
        except (OSError, CheckpointError) as error:
            found[1] = str(error)
    broadcast_object_list(found)
    if found[1] is not None:
        raise CheckpointError(found[1])
    return found[0]
