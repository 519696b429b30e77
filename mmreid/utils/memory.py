"""How much memory there is, and how much a computation takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import torch

#: What is assumed where the system does not tell.
UNKNOWN_BYTES = 4 * 2**30


def available_bytes(device: Union[str, torch.device] = 'cpu') -> int:
    """Memory that can still be taken: on a CUDA device what is free or cached there, otherwise what the system and the
    control group of the process leave."""
    device = torch.device(device)
    if device.type == 'cuda':
        free = torch.cuda.mem_get_info(device)[0]
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    limits = [_meminfo('MemAvailable')]
    for limit, used in (('memory.max', 'memory.current'),
                        ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes')):
        try:
            allowed, taken = (int(Path('/sys/fs/cgroup', name).read_text()) for name in (limit, used))
            limits.append(max(0, allowed - taken))
        except (OSError, ValueError):  # no control group, or one without a limit ("max")
            continue
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else UNKNOWN_BYTES


def peak_extra_bytes(function: Callable[[], Any], device: Union[str, torch.device] = 'cpu') -> Optional[int]:
    """Largest growth of the memory in use during one call; None where the system does not tell."""
    with measured(device) as cost:
        function()
    return cost.peak_extra_bytes


def seconds(function: Callable[[], Any], device: Union[str, torch.device] = 'cpu') -> float:
    """Wall time of one call, with what it left running on a CUDA device."""
    start = time.perf_counter()
    function()
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


@dataclass
class Cost:
    """Time and memory of a stage.

    ``peak_extra_bytes`` is the largest growth of the resident set (on a CUDA device of the allocated memory) above
    what was in use at the start, None where the system does not tell; ``peak_bytes`` the whole at that moment.
    """

    seconds: float = 0.
    peak_bytes: Optional[int] = None
    peak_extra_bytes: Optional[int] = None


@contextmanager
def measured(device: Union[str, torch.device] = 'cpu') -> Iterator[Cost]:
    """Fill a :class:`Cost` with the time and memory of the statements inside. Do not nest."""
    device, cost = torch.device(device), Cost()
    start, before = time.perf_counter(), _reset_peak(device)
    yield cost
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        cost.peak_bytes = torch.cuda.max_memory_allocated(device)
    elif before is not None:
        cost.peak_bytes = max(_status('VmHWM') or 0, before)
    cost.seconds = time.perf_counter() - start
    if before is not None:
        cost.peak_extra_bytes = cost.peak_bytes - before


def _reset_peak(device: torch.device) -> Optional[int]:
    """Start to follow the peak anew; returns the memory in use."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        Path('/proc/self/clear_refs').write_text('5')  # resets the high-water mark of the resident set
    except OSError:
        return None
    return _status('VmRSS')


def _status(key: str) -> Optional[int]:
    return _kilobytes('/proc/self/status', key)


def _meminfo(key: str) -> Optional[int]:
    return _kilobytes('/proc/meminfo', key)


def _kilobytes(file: str, key: str) -> Optional[int]:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f'{key}:')), None)
