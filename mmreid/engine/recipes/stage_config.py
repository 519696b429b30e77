"""The config of a stage: that of its file, with what the recipe and the command line change."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config

from mmreid.utils.config import ConfigError, load_config

from .recipe import Recipe, Stage

#: Keys of a config that a recipe sets, and what to write instead.
MANAGED = dict(
    load_from='init_from of the stage', load_parts='carry of the stage', resume='--resume', work_dir='--work-dir',
    launcher='--launcher', experiment_name='the name of the stage')
#: What a runner takes only together.
_BELONG_TOGETHER = [('val_dataloader', 'val_cfg', 'val_evaluator'), ('test_dataloader', 'test_cfg', 'test_evaluator')]


def split_options(options: Optional[Mapping[str, Any]],
                  names: Iterable[str]) -> Tuple[Dict[str, Any], Dict[str, Dict[str, Any]]]:
    """Part ``STAGE.key=value`` from options that go to every stage.

    Args:
        options (Mapping[str, Any], optional): Values by dotted key.
        names (Iterable[str]): Names of the stages.

    Returns:
        Tuple[dict, dict]: Options of all stages, and the others by stage.
    """
    common: Dict[str, Any] = {}
    own: Dict[str, Dict[str, Any]] = {name: {} for name in names}
    for key, value in (options or {}).items():
        first, _, rest = key.partition('.')
        if first in own and rest:
            own[first][rest] = value
        else:
            common[key] = value
    return common, own


def stage_configs(recipe: Recipe, options: Optional[Mapping[str, Any]] = None,
                  amp: bool = False) -> Tuple[Dict[str, Config], List[str]]:
    """Load the config of every stage, with its overrides and the options applied.

    Args:
        recipe (Recipe): The recipe.
        options (Mapping[str, Any], optional): See :func:`split_options`.
        amp (bool): Train in mixed precision.

    Returns:
        Tuple[Dict[str, Config], List[str]]: The configs that could be loaded, and what is wrong with the others.
    """
    common, own = split_options(options, recipe.stages)
    configs: Dict[str, Config] = {}
    problems: List[str] = []
    for stage in recipe:
        if not stage.config.is_file():
            continue  # reported when the recipe was read
        try:
            cfg = load_config(str(stage.config), {**stage.overrides, **common, **own[stage.name]})
        except Exception as error:  # whatever a Python file can raise
            text = str(error) if isinstance(error, ConfigError) else f'{type(error).__name__}: {error}'
            problems.append(f'Stage "{stage.name}": {stage.config.name} cannot be loaded: {text}')
            continue
        problems += [f'Stage "{stage.name}": {text}' for text in _refused(stage, cfg)]
        if amp and cfg.get('optim_wrapper'):
            cfg.optim_wrapper.type = 'ReIDAmpOptimWrapper'
            cfg.optim_wrapper.setdefault('dtype', 'auto')
        configs[stage.name] = cfg
    return configs, problems


def tied(cfg: Config, stage: Stage, init: Optional[str] = None, teacher: Optional[str] = None,
         teacher_model: Optional[Mapping[str, Any]] = None) -> Config:
    """A copy of a stage's config that knows where its weights come from.

    Args:
        cfg (Config): Config of :func:`stage_configs`.
        stage (Stage): The stage.
        init (str, optional): Checkpoint it starts from.
        teacher (str, optional): Checkpoint of its teacher.
        teacher_model (Mapping[str, Any], optional): ``model`` of the config that the teacher was trained with, where it
            is known. Without it the one that the checkpoint holds is used.
    """
    cfg = copy.deepcopy(cfg)
    cfg.load_from = init
    cfg.load_parts = stage.carry if init is not None else None
    if teacher is not None:
        known = cfg.model.get('teacher') or {}
        known = {key: value for key, value in known.items() if value is not None}
        if teacher_model is not None and not known:
            known['model'] = {key: value for key, value in teacher_model.items() if key != 'heads'}
        cfg.model.teacher = dict(known, checkpoint=teacher)
    return cfg


def _refused(stage: Stage, cfg: Config) -> List[str]:
    problems = [f'{key}={cfg[key]!r} is not for a config in a recipe; use {instead}'
                for key, instead in MANAGED.items() if cfg.get(key) not in (None, False, 'none')]
    if cfg.get('runner_type') != 'ReIDRunner':
        problems.append(f"runner_type must be 'ReIDRunner' (it has the checkpoints that recipes rely on), got "
                        f'{cfg.get("runner_type")!r}')
    missing = [key for key in ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper') if not cfg.get(key)]
    if missing:
        problems.append(f'{stage.config.name} is not the config of a training: {", ".join(missing)} missing')
    for keys in _BELONG_TOGETHER:
        given = [key for key in keys if cfg.get(key) is not None]
        if given and len(given) < len(keys):
            problems.append(f'{", ".join(keys)} belong together; only {", ".join(given)} is given')
    return problems + _refused_checkpoints(stage, cfg)


def _refused_checkpoints(stage: Stage, cfg: Config) -> List[str]:
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    problems = []
    if hook.get('out_dir') is not None:
        problems.append(f'default_hooks.checkpoint.out_dir={hook["out_dir"]!r} is not for a config in a recipe, whose '
                        'stages keep their checkpoints in folders of their own; use --work-dir')
    if not hook.get('save_optimizer', True) or not hook.get('save_param_scheduler', True):
        problems.append('default_hooks.checkpoint.save_optimizer and save_param_scheduler must not be False: a recipe '
                        'could not be resumed')
    if stage.checkpoint == 'best' and not (hook.get('save_best') and cfg.get('val_cfg') is not None):
        problems.append("checkpoint='best' needs a validation and default_hooks.checkpoint.save_best in its config")
    return problems
