"""What happened in each round of pseudo labels."""

import json
import math
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from mmreid.utils.checkpoint import write_text


class RoundRecords(list):
    """One dict a round, written as ``rounds.json`` after every change."""

    FILE = 'rounds.json'

    def write(self, folder: Path) -> None:
        """Write the file: a list with one line a round; what is not a number is null."""
        lines = [json.dumps(_finite(record), allow_nan=False) for record in self]
        write_text('[\n' + ',\n'.join(lines) + '\n]\n', Path(folder) / self.FILE)

    def of(self, number: int) -> Dict[str, Any]:
        """The record of a round, a new one if need be; later ones, of a run that was cut off, are dropped."""
        del self[number:]
        if len(self) == number - 1:
            self.append(dict(round=number))
        return self[number - 1]


def is_saturated(selected: Sequence[int], pool: int, tolerance: float, patience: Optional[int]) -> bool:
    """Whether the number of selected images has settled (the stopping rule of PUL, section III-B).

    Where everything is selected, as without a threshold, the number says nothing about the features: never.

    Args:
        selected: Number of selected images of each round.
        pool: Number of images that could be selected.
        tolerance: Largest change between two rounds that counts as none, as a share of the pool.
        patience: Number of such changes in a row that end the training; None: never.
    """
    if patience is None or len(selected) <= patience or selected[-1] >= pool:
        return False
    recent: List[int] = list(selected[-patience - 1:])
    return all(abs(b - a) <= tolerance * pool for a, b in zip(recent[:-1], recent[1:]))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
