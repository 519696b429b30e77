"""Places in a model config that are filled in when the data are known."""

from typing import Any, Dict, Iterator


def slots_with(node: Any, name: str) -> Iterator[Dict]:
    """Dicts below ``node`` that have an entry ``name``; a teacher's are its own affair."""
    if isinstance(node, dict):
        if name in node:
            yield node
        for key, value in node.items():
            if key == 'heads' and isinstance(value, dict):
                for head in value.values():  # whatever they are called
                    yield from slots_with(head, name)
            elif key != 'teacher':
                yield from slots_with(value, name)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from slots_with(value, name)
