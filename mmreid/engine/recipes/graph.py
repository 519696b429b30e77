"""The order in which stages can run."""

from collections.abc import Mapping, Sequence
from typing import Dict, List, Tuple


def running_order(needs: Mapping[str, Sequence[str]]) -> Tuple[List[str], List[str]]:
    """Order names so that each comes after what it needs; where there is a choice, as they are given.

    Args:
        needs (Mapping[str, Sequence[str]]): What each name needs, all of it names of the mapping.

    Returns:
        Tuple[List[str], List[str]]: The order, and a circle (``[a, b, a]``: a needs b, b needs a) that stands in the
        way, empty if there is none. With a circle the order is as given.
    """
    order: List[str] = []
    while len(order) < len(needs):
        ready = [name for name in needs if name not in order and all(need in order for need in needs[name])]
        if not ready:
            return list(needs), _circle({name: needs[name] for name in needs if name not in order})
        order.append(ready[0])
    return order, []


def _circle(waiting: Dict[str, Sequence[str]]) -> List[str]:
    """Walk along needs that are waiting themselves until a name comes up again: every one of them leads on."""
    path = [next(iter(waiting))]
    while path[-1] not in path[:-1]:
        path.append(next(need for need in waiting[path[-1]] if need in waiting))
    return path[path.index(path[-1]):]
