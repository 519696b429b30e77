"""A recipe over the random splits of a data set: what depends on the split is trained once for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from mmengine.config import Config

from mmreid.datasets import CUHK03
from mmreid.registry import DATASETS
from mmreid.utils.config import load_config

from .errors import RecipeError
from .recipe import Recipe, Stage, load_recipe

#: Splits that come with CUHK03.
_CLASSIC_SPLITS = 20
_EVALUATED = ('val', 'test')
#: The stage that a config is, and what says where it starts from.
_ONLY = 'training'
_START = ('load_from', 'load_parts')


def recipe_of(path: Union[str, Path]) -> Recipe:
    """Read a recipe, or take a config for a recipe of one stage; see :func:`recipe_and_options`."""
    return recipe_and_options(path, None)[0]


def recipe_and_options(path: Union[str, Path],
                       options: Optional[Mapping[str, Any]]) -> Tuple[Recipe, Dict[str, Any]]:
    """Read a recipe, or take a config for a recipe of one stage, ``training``.

    A ``load_from`` of the config or of its options, with its ``load_parts``, becomes what that stage starts from.

    Args:
        path (str or Path): File of the recipe or config.
        options (Mapping[str, Any], optional): Values by dotted key.

    Returns:
        Tuple[Recipe, Dict[str, Any]]: The recipe, and the options without those that went into it.

    Raises:
        RecipeError: If the recipe cannot be used.
        ConfigError: If the config cannot be read.
    """
    path, options = Path(path), dict(options or {})
    cfg = load_config(str(path))
    if 'stages' in cfg:
        return load_recipe(path), options
    for key in list(options):
        if key.removeprefix(f'{_ONLY}.') in _START:
            cfg[key.removeprefix(f'{_ONLY}.')] = options.pop(key)
    overrides, parts = {}, {}
    if cfg.get('load_parts') and not cfg.get('load_from'):
        raise _refusal(Recipe(path.stem, path, {}), 'load_parts says what is taken over from load_from, which is not '
                                                    'given')
    if cfg.get('load_from'):
        overrides = dict(load_from=None, load_parts=None)
        carry = cfg.get('load_parts')
        parts = dict(init_from=str(Path(cfg.load_from).expanduser().resolve()),
                     carry=(carry, ) if isinstance(carry, str) else carry and tuple(carry))
    name = f'{path.resolve().parent.name}_{path.stem}'
    stage = Stage(_ONLY, path.resolve(), overrides=overrides, **parts)
    return Recipe(name, path, {_ONLY: stage}), options


def dependent_stages(recipe: Recipe, configs: Mapping[str, Config]) -> List[str]:
    """Stages that are tested on a data set with splits, and those that build on such a stage, in running order."""
    found: List[str] = []
    for stage in recipe:
        if split_keys(configs.get(stage.name)) or set(stage.references) & set(found):
            found.append(stage.name)
    return found


def split_keys(cfg: Optional[Config]) -> List[str]:
    """Dotted keys of every ``split_id`` that belongs to the data set a config is tested on; none without splits.

    Data of another set that are only trained on keep their split, and so does the labelled ``source`` of a
    ``SourceTargetDataset``, whatever set it is of.
    """
    return list(_splits_set(cfg))


def _splits_set(cfg: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """The keys of :func:`split_keys` with their values."""
    if not cfg:
        return {}
    slots = [(key, node) for loader in ('train', *_EVALUATED) for key, node in _split_slots(cfg, loader)]
    tested = {node['type'] for key, node in slots if key.startswith(_EVALUATED)}
    return {f'{key}.split_id': node.get('split_id') for key, node in slots if node['type'] in tested}


def published_splits(recipe: Recipe, configs: Mapping[str, Config]) -> range:
    """All splits of the data set that the stages are tested on.

    Raises:
        RecipeError: If there is none with splits, or several with different numbers of them.
    """
    numbers = {stage.name: number for stage in recipe for loader in _EVALUATED
               for _, node in _split_slots(configs.get(stage.name), loader)
               for number in [_number_of_splits(node)]}
    if not numbers:
        raise _refusal(recipe, 'no stage is tested on a data set with random splits (VIPeR, PRID2011, CUHK01, WARD, '
                       "CUHK03 with protocol='classic')")
    if len(set(numbers.values())) > 1:
        raise _refusal(recipe, f'its data sets have different numbers of splits, {numbers}; say which with --splits')
    return range(next(iter(numbers.values())))


def over_splits(recipe: Recipe, configs: Mapping[str, Config],
                splits: Sequence[int]) -> Tuple[Recipe, Dict[str, Dict[int, str]]]:
    """Copy what depends on the split.

    Args:
        recipe (Recipe): The recipe.
        configs (Mapping[str, Config]): Config of each stage.
        splits (Sequence[int]): Which splits.

    Returns:
        Tuple[Recipe, Dict[str, Dict[int, str]]]: A recipe with a stage ``<name>_split<number>`` for each stage that
        depends on the split, behind the others, which are trained once; and the names of the copies by the name of
        the stage and the split.

    Raises:
        RecipeError: If nothing depends on a split, or splits are given twice or not at all.
    """
    if not splits or len(set(splits)) != len(splits):
        raise _refusal(recipe, f'splits must be different numbers, got {list(splits)}')
    dependent = dependent_stages(recipe, configs)
    if not dependent:
        published_splits(recipe, configs)  # raises
    stages = {stage.name: stage for stage in recipe if stage.name not in dependent}
    copies: Dict[str, Dict[int, str]] = {name: {} for name in dependent}
    for split in splits:
        names = {name: f'{name}_split{split}' for name in dependent}
        clash = sorted(set(names.values()) & set(recipe.stages))
        if clash:
            raise _refusal(recipe, f'a stage may not be called {clash[0]}, the name of a copy; give it another one')
        for name in dependent:
            stages[names[name]] = _copy(recipe.stages[name], names, split_keys(configs.get(name)), split)
            copies[name][split] = names[name]
    return Recipe(f'{recipe.name}_splits', recipe.path, stages), copies


def options_of_copies(options: Optional[Mapping[str, Any]],
                      copies: Mapping[str, Mapping[int, str]]) -> Dict[str, Any]:
    """Options ``STAGE.key=value`` of a stage that was copied go to all its copies."""
    spread: Dict[str, Any] = {}
    for key, value in (options or {}).items():
        first, _, rest = key.partition('.')
        names = copies[first].values() if first in copies and rest else [first]
        spread.update({f'{name}.{rest}' if rest else name: value for name in names})
    return spread


def require_splits(recipe: Recipe, originals: Mapping[str, Config], configs: Mapping[str, Config],
                   copies: Mapping[str, Mapping[int, str]]) -> None:
    """Refuse options that take a copy to another split than its own, or that leave nothing to average.

    Args:
        recipe (Recipe): The recipe, for the text of an error.
        originals (Mapping[str, Config]): Config of each stage before it was copied.
        configs (Mapping[str, Config]): Config of each copy as it will be trained.
        copies (Mapping[str, Mapping[int, str]]): See :func:`over_splits`.

    Raises:
        RecipeError: If there are such options, or no copy is validated.
    """
    problems: Dict[str, str] = {}
    for stage, names in copies.items():
        for split, name in names.items():
            cfg = configs.get(name) or {}
            found = _splits_set(cfg)
            for key, value in found.items():
                if value != split:
                    problems.setdefault(key, f'"{name}" would have {key}={value!r}: an option sets it, for which there '
                                             f'is --splits (--splits {value})')
            for key in split_keys(originals.get(stage)):
                if key not in found and cfg.get(key.split('.')[0]):
                    problems.setdefault(key, f'"{name}" would have no {key}: an option gives it a data set without '
                                             'splits; change the config')
    if problems:
        raise _refusal(recipe, *problems.values())
    given = [configs[name] for names in copies.values() for name in names.values() if name in configs]
    if given and not any(cfg.get('val_cfg') is not None for cfg in given):
        raise _refusal(recipe, f'there would be nothing to average: no validation (val_dataloader, val_cfg, '
                               f'val_evaluator) in {", ".join(copies)}')


def _copy(stage: Stage, names: Mapping[str, str], keys: Sequence[str], split: int) -> Stage:
    return replace(
        stage, name=names[stage.name], init_from=names.get(stage.init_from, stage.init_from),
        teacher_from=names.get(stage.teacher_from, stage.teacher_from),
        overrides={**stage.overrides, **{key: split for key in keys}})


def _split_slots(cfg: Optional[Config], loader: str) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """Data sets with splits below a loader, with the dotted key of each."""
    given = (cfg or {}).get(f'{loader}_dataloader')
    if given:
        yield from _slots_below(given['dataset'], f'{loader}_dataloader.dataset')


def _slots_below(node: Any, place: str) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    if isinstance(node, Mapping):
        if _number_of_splits(node):
            yield place, node
        for key in ('dataset', 'datasets', 'target'):
            yield from _slots_below(node.get(key), f'{place}.{key}')
    elif isinstance(node, (list, tuple)):
        for number, item in enumerate(node):
            yield from _slots_below(item, f'{place}.{number}')


def _number_of_splits(node: Mapping[str, Any]) -> int:
    kind = DATASETS.get(node['type']) if isinstance(node.get('type'), str) else None
    if kind is None:
        return 0
    if issubclass(kind, CUHK03):
        return _CLASSIC_SPLITS if node.get('protocol') == 'classic' else 0
    return getattr(kind, 'NUM_SPLITS', 0)


def _refusal(recipe: Recipe, *texts: str) -> RecipeError:
    return RecipeError(f'{recipe.path} cannot be run over splits', texts)
