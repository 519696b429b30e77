"""What is known of a recipe that was started: ``recipe.json``."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import mmengine
import torch

from mmreid.utils.checkpoint import resumable_checkpoints, write_text
from mmreid.version import __version__

from .definition import weighty_changes
from .errors import RecipeError
from .recipe import Recipe

#: Number of the layout of the file.
_LAYOUT = 1
_SHOWN = 8


class RecipeState:
    """The content of ``recipe.json``, which is written after every change, in one step.

    ``stages`` has an entry for every stage that was begun: ``status`` (``'running'``, ``'trained'`` when the checkpoint
    is known, ``'finished'`` when its metrics are, too), ``config``, ``init_from`` and ``teacher_from`` (``stage``,
    ``path`` and ``sha256``, or None), ``carry``, ``checkpoint`` (``path``, relative to the folder of the recipe, and
    ``sha256``), ``metrics``, ``epochs``, ``iterations``, ``seconds``, ``starts``, ``versions``, ``definition``, the
    whole config of the latest start, with which a resumed recipe is compared, and ``changes``, what was another
    config before: ``start`` and ``what``.

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
        """Whether nothing is left to do for a stage."""
        return self.stages.get(name, {}).get('status') == 'finished'

    def is_trained(self, name: str) -> bool:
        """Whether a stage has been trained to its end."""
        return self.stages.get(name, {}).get('status') in ('trained', 'finished')

    def goes_on(self, name: str) -> bool:
        """Whether a stage was begun and has a checkpoint to go on from; otherwise it begins as if it were new."""
        return name in self.stages and bool(resumable_checkpoints(self.folder / name))

    def checkpoint(self, name: str) -> Path:
        """What a trained stage hands on."""
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

    def source(self, reference: Optional[str], recipe: Recipe) -> Optional[Dict[str, Any]]:
        """A stage or file that another stage builds on, with the digest of its file as it is now."""
        if reference is None:
            return None
        if reference in recipe.stages:
            known = self.stages.get(reference, {}).get('checkpoint') or dict(path=None, sha256=None)
            return dict(stage=reference, **known)
        return dict(stage=None, path=reference, sha256=sha256(reference) if Path(reference).is_file() else None)

    def problems(self, recipe: Recipe, definitions: Mapping[str, Dict[str, Any]]) -> List[str]:
        """What keeps the recipe from being continued: changed definitions, changed or missing files.

        Args:
            recipe (Recipe): The recipe as it is now.
            definitions (Mapping[str, dict]): See :func:`mmreid.engine.recipes.definition.definition`.
        """
        found: List[str] = []
        for name, entry in self.stages.items():
            if name not in recipe.stages:
                found.append(f'Stage "{name}" was begun and is no longer in the recipe.')
            elif name not in definitions:
                continue
            elif self.is_trained(name):
                changed = self._other_sources(name, recipe) + weighty_changes(entry['definition'], definitions[name])
                found += _refusal(f'Stage "{name}" is finished, and its definition has changed since', changed, 'Undo '
                                  'this (STAGE.KEY=VALUE gives an option to one stage only), or start anew in another '
                                  '--work-dir.') + self._damaged(name)
            elif self.goes_on(name):
                found += _refusal(f'Stage "{name}" was begun with something else', self._other_sources(name, recipe),
                                  f'Undo this, or, to begin this stage anew, delete its folder {self.folder / name}.')
        return found

    def _other_sources(self, name: str, recipe: Recipe) -> List[str]:
        entry, stage = self.stages[name], recipe.stages[name]
        found = []
        for key in ('init_from', 'teacher_from'):
            before, now = entry[key], self.source(getattr(stage, key), recipe)
            if not _is_same(before, now, self.is_trained(name)):
                found.append(f'{key} was {_told(before)}, is now {_told(now)}')
        carry = list(stage.carry) if stage.init_from and stage.carry else None
        if not found and carry != entry['carry']:
            found.append(f'carry was {entry["carry"]!r}, is now {carry!r}')
        return found

    def _damaged(self, name: str) -> List[str]:
        path, known = self.checkpoint(name), self.stages[name]['checkpoint']['sha256']
        if not path.is_file():
            return [f'Stage "{name}" is finished, and its checkpoint {path} is missing. Put it back, or start anew in '
                    'another --work-dir.']
        if sha256(path) != known:
            return [f'Stage "{name}" is finished, and its checkpoint {path} is not the file that it wrote (sha256 '
                    f'differs from {known[:12]}...). Put that back, or start anew in another --work-dir.']
        return []


def _is_same(before: Optional[Dict[str, Any]], now: Optional[Dict[str, Any]], trained: bool) -> bool:
    """Whether two sources are one. A file may have been moved; of one that is not needed any more, the name will do."""
    if before is None or now is None:
        return before is now
    same_file = before['sha256'] == now['sha256'] or trained and not now['stage'] and before['path'] == now['path']
    return before['stage'] == now['stage'] and same_file


def _told(source: Optional[Dict[str, Any]]) -> str:
    if source is None or source['stage'] is not None:
        return repr(source and source['stage'])
    return f'{source["path"]} ({"missing" if source["sha256"] is None else "sha256 " + source["sha256"][:12]})'


def _refusal(what: str, changed: List[str], remedy: str) -> List[str]:
    """One problem that lists what has changed, or none."""
    if not changed:
        return []
    more = [f'... and {len(changed) - _SHOWN} more'] if len(changed) > _SHOWN else []
    return ['\n'.join([f'{what}:', *changed[:_SHOWN], *more, remedy])]


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
