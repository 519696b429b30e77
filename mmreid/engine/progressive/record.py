"""What was tried, chosen and trained with, in two files that outlive the process.

``work_dir/pla/trials.jsonl`` has a line for each trial, ``work_dir/pla/cycles.jsonl`` one for each cycle.
"""

import json
import math
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Union

from mmreid.utils.checkpoint import write_text


class ProgressiveRecord:
    """The record of one run: reads what is there, and writes each file in one step, so that it is always whole.

    A trial is ``dict(cycle, trial, values, losses, objective, note, seconds, epoch, iter, weights)``: numbers of cycle
    and trial from 1, the set that was tried, the mean loss of each epoch, Eq. (9), what went wrong if anything did, the
    epochs and iterations of exploitation before it, and the hash of the weights that it began with. A cycle is
    ``dict(cycle, values, ...)`` with ``expected_improvement`` (where the search tells it), ``epoch_begin`` (its first
    epoch, from 0) and ``epoch_end`` (how many epochs are done), ``lowest_loss`` and ``lowest_epoch``,
    ``explore_seconds`` and ``exploit_seconds``.

    Infinite objectives and losses that are no numbers are null in the files, and here what they were.

    Args:
        work_dir: Work directory of the run; it need not have a record.
        read: Whether to read what is there. Otherwise the record begins empty.

    Raises:
        ValueError: If a file is not such a record.
    """

    FOLDER, TRIALS, CYCLES = 'pla', 'trials.jsonl', 'cycles.jsonl'

    def __init__(self, work_dir: Union[str, Path], read: bool = True) -> None:
        self.folder = Path(work_dir) / self.FOLDER
        self.trials = [_with_numbers(line) for line in _read(self.folder / self.TRIALS)] if read else []
        self.cycles = _read(self.folder / self.CYCLES) if read else []

    @property
    def files(self) -> List[Path]:
        """Those that are there."""
        return [path for path in (self.folder / self.TRIALS, self.folder / self.CYCLES) if path.is_file()]

    def add_trials(self, trials: List[Dict[str, Any]]) -> None:
        """Append finished trials and write them."""
        self.trials += trials
        self._write(self.TRIALS, self.trials)

    def trials_of(self, cycle: int, weights: str) -> List[Dict[str, Any]]:
        """The trials of a cycle that began with these weights, from the first on without a gap."""
        found = {line['trial']: line for line in self.trials if line['cycle'] == cycle and line['weights'] == weights}
        first: List[Dict[str, Any]] = []
        while len(first) + 1 in found:
            first.append(found[len(first) + 1])
        return first

    def set_cycle(self, number: int, **facts: Any) -> None:
        """Add facts to the line of a cycle, a new one if need be, and write it; lines of later cycles are dropped."""
        line = next((line for line in self.cycles if line['cycle'] == number), dict(cycle=number))
        line.update(facts)
        self.cycles = [other for other in self.cycles if other['cycle'] < number] + [line]
        self._write(self.CYCLES, self.cycles)

    def cycle(self, number: int) -> Dict[str, Any]:
        """The line of a cycle, empty if it has none."""
        return next((line for line in self.cycles if line['cycle'] == number), {})

    def go_back(self, cycle: int, trials: List[Dict[str, Any]], exploits: bool) -> int:
        """Keep what was before a cycle, these of its trials, and its own line if it ``exploits`` already.

        The rest is of a future that a resumed run need not have.

        Returns:
            How many trials are dropped.
        """
        kept = [line for line in self.trials if line['cycle'] < cycle] + trials
        cycles = [line for line in self.cycles if line['cycle'] < cycle + exploits]
        dropped = len(self.trials) - len(kept)
        if dropped or len(cycles) < len(self.cycles):
            self.trials, self.cycles = kept, cycles
            self._write(self.TRIALS, self.trials)
            self._write(self.CYCLES, self.cycles)
        return dropped

    def _write(self, name: str, lines: List[Dict[str, Any]]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # A constant is NaN or infinite, which JSON does not know.
        plain = (json.loads(json.dumps(line), parse_constant=lambda _: None) for line in lines)
        write_text(''.join(json.dumps(line) + '\n' for line in plain), self.folder / name)


def exploring_seconds(trials: Sequence[Mapping[str, Any]]) -> float:
    """Seconds that the trials of a cycle, in their order, took: of those side by side the longest counts."""
    seconds, row = 0.0, 0
    while row < len(trials):
        turn = trials[row:row + trials[row].get('processes', 1)]
        seconds += max(trial.get('seconds') or 0.0 for trial in turn)
        row += len(turn)
    return seconds


def _read(path: Path) -> List[Dict[str, Any]]:
    if not path.is_file():
        return []
    lines = []
    for number, text in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        try:
            line = json.loads(text)
            if not isinstance(line['cycle'], int):
                raise TypeError('no number of a cycle')
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'line {number} of {path} is no record of a trial or a cycle ({error}): remove the file '
                             'to begin without a record') from error
        lines.append(line)
    return lines


def _with_numbers(line: Dict[str, Any]) -> Dict[str, Any]:
    """A trial with the numbers that the file cannot hold."""
    if line.get('objective') is None:
        line['objective'] = math.inf
    line['losses'] = [math.nan if loss is None else loss for loss in line.get('losses', [])]
    return line
