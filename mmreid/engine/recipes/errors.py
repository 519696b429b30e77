"""The error of a recipe, which names every mistake at once, and each only once."""

from collections.abc import Sequence
from typing import Dict, List, Optional

from mmreid.utils.config import ConfigError


class RecipeError(ConfigError):
    """A recipe cannot be run as it stands; the message lists everything that was found.

    Args:
        what (str): Which recipe, and what is refused.
        problems (Sequence[str]): One text a mistake.
    """

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        number = f'{len(self.problems)} problem{"s" if len(self.problems) != 1 else ""}'
        lines = [text.replace('\n', '\n    ') for text in self.problems]
        super().__init__(f'{what} ({number}):\n  ' + '\n  '.join(lines))


class Faults:
    """Collects what is wrong with stages; what several of them share (a missing dataset) is told once."""

    def __init__(self) -> None:
        self._texts: Dict[str, str] = {}
        self._places: Dict[str, Dict[str, List[str]]] = {}

    def add(self, stage: str, text: str, what: str = '', key: Optional[str] = None) -> None:
        """Note a fault.

        Args:
            stage (str): Name of the stage.
            text (str): What is wrong.
            what (str): The part of the stage.
            key (str, optional): Faults with the same key are one. Defaults to the text.
        """
        key = text if key is None else key
        self._texts.setdefault(key, text)
        parts = self._places.setdefault(key, {}).setdefault(stage, [])
        if what and what not in parts:
            parts.append(what)

    def listed(self) -> List[str]:
        """One text a fault: where, and what."""
        found = []
        for key, text in self._texts.items():
            places = [f'"{stage}"' + (f' ({", ".join(parts)})' if parts else '')
                      for stage, parts in self._places[key].items()]
            found.append(f'Stage{"s" if len(places) > 1 else ""} {", ".join(places)}: {text}')
        return found
