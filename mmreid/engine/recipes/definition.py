"""What a stage was, in types that JSON keeps, and in which entries two of them differ."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, List, Tuple

from mmengine.config import Config

from mmreid.utils.config import KNOWN_KEYS

from .recipe import Stage

_ABSENT = '(absent)'
#: What cannot change the weights that a training ends with: how data are loaded and where they lie, what is shown.
_OUTWARD = re.compile(
    r'(test_\w+|tta|expected_results|visualizer|log_level|log_processor)(\.|$)'
    r'|default_hooks\.(logger|timer|visualization|progress)(\.|$)'
    r'|train_dataloader\.(num_workers|persistent_workers|prefetch_factor|pin_memory|(.*\.)?data_root)$')
#: What can change them only where the validation chooses the checkpoint or steers the training.
_VALIDATION = re.compile(r'val_|train_cfg\.val_|default_hooks\.checkpoint(\.|$)')


def definition(stage: Stage, cfg: Config) -> Dict[str, Any]:
    """What a stage trains, to be compared when a recipe is resumed; its sources are compared by their files."""
    return canonical(dict(checkpoint=stage.checkpoint, config=cfg.to_dict()))


def canonical(value: Any) -> Any:
    """Plain types in which equal configs are equal, in this process and in the next one."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # NaN is not equal to itself
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((canonical(item) for item in value), key=canonical_text)
    if hasattr(value, '__qualname__'):  # classes and functions
        return f'{value.__module__}.{value.__qualname__}'
    if hasattr(value, 'tolist'):  # arrays and tensors
        return canonical(value.tolist())
    return str(value) if isinstance(value, Path) else re.sub(r' at 0x[0-9a-f]+', '', repr(value))


def canonical_text(value: Any) -> str:
    """Text that is equal for equal configs."""
    return json.dumps(canonical(value), sort_keys=True)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
    """Dotted keys in which two definitions differ, with both values."""
    return _told(_differences(before, now))


def weighty_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
    """As :func:`changes`, only those after which a finished training would have ended with other weights."""
    decides = any(known.get('checkpoint') == 'best' or '"monitor"' in json.dumps(known) for known in (before, now))
    return _told({path: values for path, values in _differences(before, now).items() if _matters(path, decides)})


def _matters(path: str, validation_decides: bool) -> bool:
    if path == 'checkpoint':
        return True
    key = path.removeprefix('config.')
    if key.split('.')[0] not in KNOWN_KEYS:  # a variable of the config file
        return False
    return not _OUTWARD.match(key) and (validation_decides or not _VALIDATION.match(key))


def _differences(before: Any, now: Any, path: str = '') -> Dict[str, Tuple[Any, Any]]:
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [*before, *(key for key in now if key not in before)]
        return {place: values for key in keys for place, values in
                _differences(before.get(key, _ABSENT), now.get(key, _ABSENT), f'{path}.{key}'.lstrip('.')).items()}
    return {} if before == now else {path: (before, now)}


def _told(differences: Mapping[str, Tuple[Any, Any]]) -> List[str]:
    return [f'{path.removeprefix("config.")} was {before!r}, is now {now!r}'
            for path, (before, now) in differences.items()]
