"""Reading recipes: a file that names trainings and what each of them starts from."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from mmengine.config import Config

from mmreid.utils.config import KNOWN_KEYS

from .errors import RecipeError
from .graph import running_order

#: What a stage takes over from another network unless it says otherwise: everything that does not name identities.
CARRIED = ('backbone', 'neck')
#: Which checkpoint of a stage the others get.
CHECKPOINTS = ('last', 'best')


@dataclass(frozen=True)
class Stage:
    """One training of a recipe.

    Args:
        name (str): Name of the stage, and of its folder.
        config (Path): Config of the training.
        init_from (str, optional): Stage, or absolute path of a file, whose weights it starts from; None starts as the
            config says.
        carry (Tuple[str, ...], optional): Parts of the network that are taken over. None takes everything, except
            classifiers of other identities. Defaults to ``('backbone', 'neck')``.
        teacher_from (str, optional): Stage or file of the teacher, for distillation.
        checkpoint (str): Which checkpoint other stages get: ``'last'`` or ``'best'``.
        overrides (dict): Values by dotted key, as ``--cfg-options``.
    """

    name: str
    config: Path
    init_from: Optional[str] = None
    carry: Optional[Tuple[str, ...]] = CARRIED
    teacher_from: Optional[str] = None
    checkpoint: str = 'last'
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def references(self) -> List[str]:
        """What it builds on: names of stages, or files."""
        return [reference for reference in (self.init_from, self.teacher_from) if reference is not None]


@dataclass(frozen=True)
class Recipe:
    """Trainings in an order in which each can be run.

    Args:
        name (str): Name of the file without its ending.
        path (Path): The file.
        stages (Dict[str, Stage]): The stages by name, in running order.
    """

    name: str
    path: Path
    stages: Dict[str, Stage]

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages.values())

    def __len__(self) -> int:
        return len(self.stages)


def load_recipe(path: Union[str, Path]) -> Recipe:
    """Read a recipe.

    A recipe is a Python config with one entry, which may be inherited through ``_base_``::

        stages = dict(
            duke=dict(config='../baseline/densenet161_duke.py'),
            market=dict(config='../baseline/densenet161_market.py', init_from='duke'))

    The keys of a stage are the arguments of :class:`Stage`; relative files (``config``, ``init_from``,
    ``teacher_from``) are looked for beside the recipe, then beside those it inherits from, then in the current folder.

    Raises:
        RecipeError: If the file or a config is missing, a key is unknown, a reference leads nowhere, or stages need
            each other in a circle; everything that was found is listed.
    """
    recipe, problems = read_recipe(path)
    if problems:
        raise RecipeError(f'Recipe {path} cannot be used', problems)
    return recipe


def read_recipe(path: Union[str, Path]) -> Tuple[Recipe, List[str]]:
    """As :func:`load_recipe`, but what is wrong inside the file is returned beside what could be read.

    Raises:
        RecipeError: If nothing can be read.
    """
    path = Path(path)
    if not path.is_file():
        raise RecipeError(f'Recipe {path} cannot be used', [f'{path} does not exist. Recipes are under '
                                                            'configs/recipes/.'])
    try:
        content = Config.fromfile(path).to_dict()
    except Exception as error:  # whatever a Python file can raise
        raise RecipeError(f'Recipe {path} cannot be used', [f'It cannot be read: {type(error).__name__}: '
                                                            f'{error}']) from error
    problems = [f'Key "{key}" is unknown{_hint(key, ["stages"])}'
                for key in content if key != 'stages' and not key.startswith('_')]
    given = content.get('stages')
    if not isinstance(given, dict) or not given:
        problems.append('"stages" must be a dict with at least one stage, stages = dict(NAME=dict(config=FILE, ...)), '
                        f'got {given!r}')
        given = {}
    folders = _folders(path)
    stages = {name: stage for name, entry in given.items()
              for stage in [_stage(name, entry, folders, problems)] if stage is not None}
    problems += [text for stage in stages.values() for text in _unknown_references(stage, given)]
    order, circle = running_order({name: [reference for reference in stage.references if reference in stages]
                                   for name, stage in stages.items()})
    if circle:
        problems.append(f'Stages need each other in a circle: {" -> ".join(circle)} (each starts from, or is taught '
                        'by, the next).')
    return Recipe(path.stem, path, {name: stages[name] for name in order}), problems


def is_file_reference(reference: str) -> bool:
    """Whether a reference can only mean a file: names of stages have neither slashes nor dots."""
    return '/' in reference or '.' in reference


def _stage(name: str, entry: Any, folders: List[Path], problems: List[str]) -> Optional[Stage]:
    """The stage of an entry; what is wrong with it is appended to ``problems`` and left out."""
    found: List[str] = []
    if not re.fullmatch(r'[A-Za-z]\w*', str(name)):
        found.append('a name must begin with a letter and have letters, digits and underscores only')
    if name in KNOWN_KEYS:
        found.append('this is a key of configs, so options could not tell them apart; give the stage another name')
    if not isinstance(entry, dict):
        problems += [f'Stage "{name}": {text}' for text in [*found, f'expected a dict, got {entry!r}']]
        return None
    values = _checked_values(entry, found)
    path = _find(values.pop('config', None), folders, found)
    values.update((key, _file_or_name(values[key], folders)) for key in ('init_from', 'teacher_from') if key in values)
    problems += [f'Stage "{name}": {text}' for text in found]
    return Stage(name, path, **values)


def _checked_values(entry: Mapping[str, Any], found: List[str]) -> Dict[str, Any]:
    """The values of an entry that are of the kind that their key asks for."""
    values: Dict[str, Any] = {}
    for key, value in entry.items():
        if key not in _CHECKS:
            found.append(f'key "{key}" is unknown{_hint(key, _CHECKS)}')
        elif not _CHECKS[key][0](value):
            found.append(f'{key} must be {_CHECKS[key][1]}, got {value!r}')
        else:
            values[key] = tuple(value) if key == 'carry' and value is not None else value
    if 'config' not in entry:
        found.append('config is missing; it names the config file of the training')
    if 'carry' in entry and entry.get('init_from') is None:
        found.append('carry says what is taken over from init_from, which is not given')
    return values


_REFERENCE = (lambda value: value is None or (isinstance(value, str) and bool(value) and '://' not in value),
              'the name of a stage, a checkpoint file (download it first where it has an address) or None')
_CHECKS = dict(
    config=(lambda value: isinstance(value, str), 'the path of a config file'),
    init_from=_REFERENCE,
    teacher_from=_REFERENCE,
    carry=(lambda value: value is None or (isinstance(value, (list, tuple)) and bool(value)
                                           and all(isinstance(part, str) for part in value)),
           "a tuple of parts of the network such as ('backbone', 'neck'), or None for all that fits"),
    checkpoint=(lambda value: value in CHECKPOINTS, f'one of {", ".join(CHECKPOINTS)}'),
    overrides=(lambda value: isinstance(value, dict) and all(isinstance(key, str) for key in value),
               'a dict of values by dotted key'))


def _unknown_references(stage: Stage, given: Mapping[str, Any]) -> Iterator[str]:
    for key in ('init_from', 'teacher_from'):
        reference = getattr(stage, key)
        if reference is not None and reference not in given and not is_file_reference(reference):
            yield f'Stage "{stage.name}": {key}="{reference}" is neither a stage nor a file{_hint(reference, given)}'


def _hint(word: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else f'. There are: {", ".join(known)}.'


def _folders(path: Path) -> List[Path]:
    """Where the files of a recipe are looked for: beside it, beside what it inherits from, here."""
    folders: List[Path] = []
    waiting = [path.resolve()]
    while waiting:
        file = waiting.pop(0)
        if file.parent not in folders:
            folders.append(file.parent)
        waiting += [(file.parent / base).resolve() for base in Config._get_base_files(str(file)) if '::' not in base]
    return folders + [folder for folder in [Path.cwd()] if folder not in folders]


def _find(config: Optional[str], folders: List[Path], found: List[str]) -> Path:
    if config is None:
        return Path()
    path = _first_file(config, folders)
    if path is None:
        found.append(f'config {config} does not exist (looked in {", ".join(map(str, folders))})')
    return (path or Path(config)).resolve()


def _file_or_name(reference: Optional[str], folders: List[Path]) -> Optional[str]:
    """The absolute path of a file, as far as it can be found; names of stages stay as they are."""
    if reference is None or not is_file_reference(reference):
        return reference
    return str((_first_file(reference, folders) or Path(reference)).resolve())


def _first_file(name: str, folders: List[Path]) -> Optional[Path]:
    return next((path for folder in folders for path in [folder / Path(name).expanduser()] if path.is_file()), None)
