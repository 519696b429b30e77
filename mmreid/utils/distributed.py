"""Leaving a group of processes in order."""

import torch


def close_process_group() -> None:
    """Wait for the other processes and leave the group, if there is one.

    A process that simply ends while threads of its group still run is aborted now and then, after all work is done.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
