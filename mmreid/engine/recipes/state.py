"""What is known of a recipe that was started: ``recipe.json``."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, List, Union

import mmengine
import torch

from mmreid.utils.checkpoint import write_text
from mmreid.version import __version__

from .errors import RecipeError
from .recipe import Recipe
from .stage_config import changes

#: Number of the layout of the file.
_LAYOUT = 1
_SHOWN = 8


class RecipeState:
    """The content of ``recipe.json``, which is written after every change, in one step.

    ``stages`` has an entry for every stage that was begun: ``status`` (``'running'`` or ``'finished'``), ``config``,
    ``init_from`` and ``teacher_from`` (``stage``, ``path`` and ``sha256``, or None), ``carry``, ``checkpoint``
    (``path``, relative to the folder of the recipe, and ``sha256``), ``metrics``, ``epochs``, ``iterations``,
    ``seconds``, ``sessions``, ``versions`` and ``definition``, the whole config, with which a resumed recipe is
    compared.

    Args:
        folder (Path): Folder of the recipe.
        content (dict): What the file holds.
    """

    FILE = 'recipe.json'

    def __init__(self, folder: Path, content: Dict[str, Any]) -> None:
        self.folder, self.content = folder, content

    @property
    def stages(self) -> Dict[str, Dict[str, Any]]:
        """Entries by name of the stage."""
        return self.content['stages']

    def is_finished(self, name: str) -> bool:
        """Whether a stage has been trained to its end."""
        return self.stages.get(name, {}).get('status') == 'finished'

    def checkpoint(self, name: str) -> Path:
        """What a finished stage hands on."""
        return self.folder / self.stages[name]['checkpoint']['path']

    @property
    def finished(self) -> Dict[str, Path]:
        """Checkpoints of all finished stages."""
        return {name: self.checkpoint(name) for name in self.stages if self.is_finished(name)}

    def write(self) -> None:
        """Write the file."""
        write_text(json.dumps(self.content, indent=2) + '\n', self.folder / self.FILE)

    @classmethod
    def open(cls, folder: Path, recipe: Recipe, resume: bool) -> 'RecipeState':
        """The state of a folder, a new one where the recipe was not begun.

        Raises:
            RecipeError: If the recipe was begun and is not to be resumed, or its file cannot be read.
        """
        path = folder / cls.FILE
        if not path.is_file():
            return cls(folder, dict(layout=_LAYOUT, recipe=recipe.name, file=str(recipe.path), stages={}))
        refused = f'Recipe {recipe.path} cannot be run in {folder}'
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            if content['layout'] != _LAYOUT:
                raise ValueError(f'its layout is {content["layout"]}, this version writes {_LAYOUT}')
            state = cls(folder, dict(content, stages=dict(content['stages'])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecipeError(refused, [f'{path} cannot be read ({type(error).__name__}: {error}). Move it away to '
                                        'start anew, or give another --work-dir.']) from error
        if not resume:
            done = [name for name in state.stages if state.is_finished(name)]
            raise RecipeError(refused, [f'It was begun there ({", ".join(done) or "no stage"} finished). Go on with '
                                        '--resume, or give another --work-dir.'])
        return state

    def problems(self, recipe: Recipe, definitions: Mapping[str, Dict[str, Any]]) -> List[str]:
        """What keeps the recipe from being continued: changed definitions, changed or missing files.

        Args:
            recipe (Recipe): The recipe as it is now.
            definitions (Mapping[str, dict]): See :func:`mmreid.engine.recipes.stage_config.definition`.
        """
        found: List[str] = []
        for name, entry in self.stages.items():
            if name not in recipe.stages:
                found.append(f'Stage "{name}" was begun and is no longer in the recipe.')
            elif name in definitions and self.is_finished(name):
                found += self._changed(name, definitions[name]) + self._damaged(name)
            elif entry['teacher_from'] is not None and entry['teacher_from']['stage'] is None:
                path = Path(entry['teacher_from']['path'])
                if path.is_file() and sha256(path) != entry['teacher_from']['sha256']:
                    found.append(f'Stage "{name}" was begun with another teacher: {path} has changed.')
        return found

    def changed_while_running(self, definitions: Mapping[str, Dict[str, Any]]) -> Dict[str, List[str]]:
        """Stages that were begun and not finished, and what has changed in them since."""
        found = {name: changes(entry['definition'], definitions[name]) for name, entry in self.stages.items()
                 if name in definitions and not self.is_finished(name)}
        return {name: texts for name, texts in found.items() if texts}

    def _changed(self, name: str, definition: Dict[str, Any]) -> List[str]:
        found = changes(self.stages[name]['definition'], definition)
        if not found:
            return []
        more = f'\n... and {len(found) - _SHOWN} more' if len(found) > _SHOWN else ''
        return [f'Stage "{name}" is finished, and its definition has changed since:\n' + '\n'.join(found[:_SHOWN])
                + more + '\nUndo this (STAGE.KEY=VALUE gives an option to one stage only), or start anew in another '
                '--work-dir.']

    def _damaged(self, name: str) -> List[str]:
        path, known = self.checkpoint(name), self.stages[name]['checkpoint']['sha256']
        if not path.is_file():
            return [f'Stage "{name}" is finished, and its checkpoint {path} is missing. Put it back, or start anew in '
                    'another --work-dir.']
        if sha256(path) != known:
            return [f'Stage "{name}" is finished, and its checkpoint {path} is not the file that it wrote (sha256 '
                    f'differs from {known[:12]}...). Put that back, or start anew in another --work-dir.']
        return []


def sha256(path: Union[str, Path]) -> str:
    """Digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def versions() -> Dict[str, str]:
    """What a stage was trained with."""
    return dict(mmreid=__version__, mmengine=mmengine.__version__, torch=str(torch.__version__))
