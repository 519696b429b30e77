"""Leaving a group of processes in order."""

import gc

import torch


def close_process_group() -> None:
    """Wait for the other processes and end the group with its threads, if there is one.

    Call it when nothing refers to the runner any more. A model wrapped for distributed training keeps the threads of
    the group alive; one that still frees a tensor while the interpreter shuts down aborts the process, after all work
    is done. So the model is freed first, then the group is destroyed, which joins its threads.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        gc.collect()  # a runner is part of reference cycles
        torch.distributed.destroy_process_group()
