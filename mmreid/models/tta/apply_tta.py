"""Switching on the test-time augmentation that a config offers."""

import copy
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config, ConfigDict

from mmreid.utils.config import ConfigError


def apply_tta(cfg: Config, name: str) -> None:
    """Wrap the model of a config, in place, for the test-time augmentation ``cfg.tta[name]``.

    An entry is ``dict(model=dict(type='ReIDTTAModel', ...))``. With ``enlarge=1.125`` the images of the test pipeline
    are resized to so many times their size, rounded, and the size that they had becomes the model's ``crop_size``.
    ``tta['default']`` is no entry but the name of one, see :func:`choose_tta`.

    Raises:
        ConfigError: If the config has no such entry or the entry no model, or if the size to be enlarged is not that of
            exactly one ``Resize`` (several of the same size are fine, as for several data sets).

    Example:
        >>> apply_tta(cfg, 'ten_crop')
        >>> cfg.model.type, cfg.model.crop_size, cfg.model.module.type
        ('ReIDTTAModel', (256, 128), 'EmbeddingNet')
    """
    known = cfg.get('tta') or {}
    if name not in known:
        names = [key for key in known if key != 'default']
        offered = ', '.join(names) or 'none (configs/_base_/default_runtime.py shows how to write one)'
        raise ConfigError(f'The config offers no test-time augmentation "{name}". Entries of its tta: {offered}.')
    entry = copy.deepcopy(known[name])
    if not isinstance(entry, dict) or 'model' not in entry:
        raise ConfigError(f'tta.{name} of the config must be dict(model=dict(type="ReIDTTAModel", ...)), '
                          f'got {entry!r}.')
    if entry.get('enlarge'):
        entry['model']['crop_size'] = _enlarge(cfg, entry['enlarge'], name)
    cfg.model = ConfigDict(**entry['model'], module=cfg.model)


def choose_tta(cfg: Config, asked: str | None) -> str | None:
    """Name of the test-time augmentation to use: what is asked for, or ``tta=dict(default=NAME)`` of the config.

    Returns:
        str | None: None for no augmentation, which is also what asking for ``'none'`` means.
    """
    name = (cfg.get('tta') or {}).get('default') if asked is None else asked
    return None if name == 'none' else name


def _enlarge(cfg: Config, factor: float, name: str) -> tuple[int, int]:
    """Enlarge every ``Resize`` of the test data; returns the ``(height, width)`` they had."""
    resizes = list({id(node): node for node in _resizes(cfg.test_dataloader)}.values())
    sizes = {_width_height(node.get('scale')) for node in resizes}
    if len(sizes) != 1 or None in sizes:
        found = ', '.join(sorted(map(str, sizes))) or 'none'
        raise ConfigError(f'tta.{name} enlarges the images of the test pipeline by {factor} and needs one Resize '
                          f'there, dict(type="Resize", scale=(width, height)), or several of one size; found: {found}.')
    width, height = sizes.pop()
    for node in resizes:
        node['scale'] = (round(width * factor), round(height * factor))
    return height, width


def _width_height(scale: Any) -> tuple[int, int] | None:
    return (scale, scale) if isinstance(scale, int) else tuple(scale) if scale else None


def _resizes(node: Any) -> Iterator[dict]:
    """Configs of ``Resize`` below ``node``, whatever their scope."""
    if isinstance(node, dict):
        kind = node.get('type')
        if str(getattr(kind, '__name__', kind)).split('.')[-1] == 'Resize':
            yield node
        for value in node.values():
            yield from _resizes(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _resizes(value)
