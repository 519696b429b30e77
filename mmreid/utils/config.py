"""Reading configs and command-line options with errors that name the mistake."""

import argparse
import difflib
import inspect
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from .option_action import OptionAction

#: Top-level keys that a runner or a part of it reads.
KNOWN_KEYS = frozenset(set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}) | {
    'custom_imports', 'runner_type', 'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn', 'compile',
    'activation_checkpointing', 'efficient_conv_bn_eval', 'expected_results', 'tta', 'load_parts'}

#: Options of a data set in which validation and test may differ without being another test.
_OWN_TO_A_LOADER = frozenset({'pipeline', 'split', 'cache', 'cache_limit_gb', 'lazy_init', 'multi_query'})
_NEW = object()


class ConfigError(ValueError):
    """A config or a command-line option cannot be what its author meant."""


@contextmanager
def config_errors(kinds: tuple[type[Exception], ...] = (ValueError, TypeError, AttributeError)) -> Iterator[None]:
    """Turn errors of these kinds into :class:`ConfigError`, which a tool tells in one line.

    For checks of what a config says against the model and the data, which can be made only when these are there.
    """
    try:
        yield
    except ConfigError:
        raise
    except kinds as error:
        raise ConfigError(str(error)) from error


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share."""
    parser.add_argument('--work-dir', help='folder of logs and checkpoints (default: work_dirs/<method>/<config name>)')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE',
                        help='change config entries, for example optim_wrapper.optimizer.lr=0.02')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how processes are started (the dist_*.sh scripts use pytorch)')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def config_from_arguments(args: argparse.Namespace) -> Config:
    """Load ``args.config`` with the arguments of :func:`add_common_arguments` applied; where tests would measure
    something else than validation (:func:`evaluation_differences`) and no option asks for it, the log says so."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    said = any(key.startswith('test_') for key in args.cfg_options or {})  # another test is what the user wants
    if not said and os.environ.get('RANK', os.environ['LOCAL_RANK']) == '0':
        for difference in evaluation_differences(cfg):
            print_log(f'{args.config}: {difference}', logger='current', level=logging.WARNING)
    cfg.launcher = args.launcher
    path = Path(args.config)
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / path.parent.name / path.stem)
    return cfg


def evaluation_differences(cfg: Config) -> List[str]:
    """Where a test would not measure what validation has measured.

    A config that changes ``val_dataloader`` or ``val_evaluator`` of its base leaves ``test_dataloader`` and
    ``test_evaluator`` as they were there, also where the base says ``test_dataloader = val_dataloader``. Looked at are
    the options that say which images there are, and protocols of the test that validation has not; post-processors,
    pipelines, splits and added queries are settings that tests have of their own.

    Args:
        cfg (Config): Any config.

    Returns:
        List[str]: A sentence for each difference; empty without one, or where one of the two is not there.
    """
    differences = []
    val, test = (_images_of(cfg.get(f'{name}_dataloader')) for name in ('val', 'test'))
    if val is not None and test is not None:
        keys = sorted(key for key in (val.keys() | test.keys()) - _OWN_TO_A_LOADER if val.get(key) != test.get(key))
        if keys:
            said = [', '.join(f'{key}={images.get(key)!r}' for key in keys) for images in (val, test)]
            differences.append(f'val_dataloader has images of {said[0]}, test_dataloader of {said[1]}. If that is not '
                               'meant: what changes one must change the other, too.')
    val, test = (_protocols_of(cfg.get(f'{name}_evaluator')) for name in ('val', 'test'))
    if val and set(test) - set(val):
        differences.append(f'val_evaluator has protocols={val}, test_evaluator has {test}. If that is not meant: what '
                           'changes one must change the other, too.')
    return differences


def _images_of(loader: Any) -> Optional[Dict[str, Any]]:
    dataset = loader.get('dataset') if isinstance(loader, dict) else None
    return dict(dataset) if isinstance(dataset, dict) else None


def _protocols_of(evaluator: Any) -> List[str]:
    metrics = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    named = [name for metric in metrics if isinstance(metric, dict) for name in metric.get('protocols') or ()]
    return list(dict.fromkeys(map(str, named)))


def drop_training(cfg: Config) -> None:
    """Leave in a config, in place, what testing needs."""
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'val_dataloader', 'val_cfg',
                'val_evaluator'):
        cfg[key] = None


def load_config(path: str, options: Optional[Dict[str, Any]] = None) -> Config:
    """Read a config file, apply ``--cfg-options`` and check the keys.

    Modules that the config names in ``custom_imports`` are also looked for beside it and in the current folder.

    Args:
        path: Config file.
        options: Dotted keys and their values; each must change something that exists (or be a key that a runner reads).

    Raises:
        ConfigError: If the file is missing, an option names a key that is not there, or a top-level key looks like a
            misspelt one; near matches are listed.
    """
    for folder in (str(Path(path).resolve().parent), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.append(folder)
    try:
        cfg = Config.fromfile(path)
    except FileNotFoundError as error:
        raise ConfigError(_missing_file(path, error)) from error
    check_top_level_keys(cfg)
    for key in options or {}:
        _check_option(cfg, key)
    cfg.merge_from_dict(options or {})
    return cfg


def _missing_file(path: str, error: FileNotFoundError) -> str:
    """Which file is not there: the config, one of its bases, or one that it opens."""
    if not Path(path).is_file():
        return f'Config {path} does not exist (looked up in {Path.cwd()}). Configs are under configs/<method>/.'
    missing = str(error.filename or error)
    if not missing.endswith(('.py', '.json', '.yaml', '.yml')):
        return f'Config {path}: {error}'
    return (f'Config {path} names a base file that does not exist: {os.path.normpath(missing)}. Paths in _base_ (here '
            'or in one of the bases) are looked up in the folder of the file that names them, not in the current '
            'folder; absolute ones are possible.')


def check_top_level_keys(cfg: Config) -> None:
    """Raise where a top-level key is nearly, but not quite, one that a runner reads.

    Other names are allowed: configs keep variables such as ``train_pipeline`` at the top level.
    """
    for key in cfg:
        if key in KNOWN_KEYS or key.startswith(tuple(KNOWN_KEYS)):
            continue
        close = difflib.get_close_matches(key, KNOWN_KEYS, n=1, cutoff=0.88)
        if close:
            raise ConfigError(f'Unknown key "{key}" in the config: did you mean "{close[0]}"? (A variable of your own '
                              'may have any name that is not nearly one of these.)')


def _check_option(cfg: Config, dotted: str) -> None:
    """Follow a dotted option into the config as far as its last key's parent."""
    node: Any = cfg
    seen: List[str] = []
    *parents, last = dotted.split('.')
    for name in parents:
        _require_container(node, seen, dotted)
        node = _step(node, name, seen, dotted)
        if node is _NEW:
            return
        seen.append(name)
    _require_container(node, seen, dotted)
    if isinstance(node, (list, tuple)):
        _step(node, last, seen, dotted)
    elif not seen and last not in cfg and last not in KNOWN_KEYS:
        raise ConfigError(_unknown(dotted, last, [], set(cfg) | KNOWN_KEYS))
    elif seen and last not in node and difflib.get_close_matches(last, list(node), n=1, cutoff=0.87):
        raise ConfigError(_unknown(dotted, last, seen, set(node)))


def _require_container(node: Any, seen: List[str], dotted: str) -> None:
    if not isinstance(node, (dict, list, tuple, Config)):
        raise ConfigError(f'Option "{dotted}": {".".join(seen)} is {node!r} and has no keys below it.')


def _step(node: Any, name: str, seen: List[str], dotted: str) -> Any:
    """The part of the config under ``name``; ``_NEW`` for a key that may be added."""
    if isinstance(node, (list, tuple)):
        if not name.isdigit() or int(name) >= len(node):
            raise ConfigError(f'Option "{dotted}": {".".join(seen)} is a list of {len(node)}, "{name}" is no index '
                              'of it.')
        return node[int(name)]
    if name in node:
        return node[name]
    known = set(node) | (set() if seen else KNOWN_KEYS)
    # A new part below an existing one (optim_wrapper.clip_grad.max_norm) is for its constructor to judge, unless it
    # looks like a misspelt one.
    misspelt = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    if name in KNOWN_KEYS and not seen or seen and not misspelt:
        return _NEW
    raise ConfigError(_unknown(dotted, name, seen, known))


def _unknown(dotted: str, name: str, seen: List[str], known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    where = f' in "{".".join(seen)}"' if seen else ''
    hint = f'; did you mean {" or ".join(close)}?' if close else f'. Keys there: {", ".join(sorted(known))}.'
    return f'Option "{dotted}": there is no "{name}"{where}{hint}'
