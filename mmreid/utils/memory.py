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
        # torch 2.4 wants a number here.
        free = torch.cuda.mem_get_info(torch.cuda.current_device() if device.index is None else device.index)[0]
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    limits = [_meminfo('MemAvailable'), *map(_group_leaves, _control_groups())]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else UNKNOWN_BYTES


def _control_groups() -> list[Path]:
    """Folders of the control group of the process and of those around it."""
    root, names = Path('/sys/fs/cgroup'), ['/']
    try:
        for line in Path('/proc/self/cgroup').read_text().splitlines():
            _, controllers, name = line.split(':', 2)
            if not controllers or 'memory' in controllers.split(','):
                names.append(name)
    except (OSError, ValueError):
        pass
    groups = []
    for name in names:
        parts = [part for part in name.split('/') if part]
        groups += [Path(root, kind, *parts[:depth]) for kind in ('', 'memory') for depth in range(len(parts) + 1)]
    return list(dict.fromkeys(groups))


def _group_leaves(group: Path) -> Optional[int]:
    """What a control group still allows; cached files, which it gives up, count as free. None without a limit."""
    for limit, used, cached in (('memory.max', 'memory.current', 'inactive_file'),
                                ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file')):
        try:
            allowed, taken = (int((group / name).read_text()) for name in (limit, used))
        except (OSError, ValueError):  # no such group, or one without a limit ("max")
            continue
        return max(0, allowed - taken + (_first_number(group / 'memory.stat', cached, ' ') or 0))
    return None


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


class Measurement:
    """Time and memory from now on, until :meth:`stop`. One that begins meanwhile hides earlier peaks of this."""

    def __init__(self, device: Union[str, torch.device] = 'cpu') -> None:
        self._device, self._peak = torch.device(device), 0
        self._before = _reset_peak(self._device)  # waits for the device, whose work so far is no part of this
        self._start = time.perf_counter()

    def sample(self) -> None:
        """Take note of the peak so far, which others (a log of CUDA memory, say) may reset."""
        if self._device.type == 'cuda':
            self._peak = max(self._peak, torch.cuda.max_memory_allocated(self._device))

    def stop(self) -> Cost:
        """The cost."""
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
            self.sample()
        elif self._before is not None:
            self._peak = max(_status('VmHWM') or 0, self._before)
        cost = Cost(time.perf_counter() - self._start)
        if self._before is not None:
            cost.peak_bytes, cost.peak_extra_bytes = self._peak, self._peak - self._before
        return cost


@contextmanager
def measured(device: Union[str, torch.device] = 'cpu') -> Iterator[Cost]:
    """Fill a :class:`Cost` with the time and memory of the statements inside. Do not nest."""
    cost, measurement = Cost(), Measurement(device)
    yield cost
    vars(cost).update(vars(measurement.stop()))


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
    number = _first_number(Path(file), key, ':')
    return None if number is None else number * 1024


def _first_number(file: Path, key: str, separator: str) -> Optional[int]:
    """The number behind a key in a text file of lines; None where there is no such file or key."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(key + separator)), None)
