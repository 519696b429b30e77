"""Which data sets know the cameras of their images."""

from collections.abc import Iterator
from typing import Any


def without_cameras(dataset: Any) -> Iterator[str]:
    """Names of data sets, or parts of one, that know no cameras."""
    parts = getattr(dataset, 'datasets', None) or getattr(dataset, 'dataset', None)
    if parts is not None:
        for part in parts if isinstance(parts, (list, tuple)) else [parts]:
            yield from without_cameras(part)
    elif getattr(dataset, 'reads_cameras', True) is False:
        yield short_name(dataset)


def short_name(dataset: Any) -> str:
    """What a data set is called in messages."""
    return dataset.summary().split('\n')[0] if hasattr(dataset, 'summary') else type(dataset).__name__
