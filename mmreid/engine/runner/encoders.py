"""Filling in for which data sets or cameras an autoencoder needs nuisance encoders."""

import re
from typing import AbstractSet, Any, Dict, Iterable, Iterator, List, Mapping, Optional

import numpy as np
from torch import nn

from mmreid.datasets.known_cameras import short_name, without_cameras
from mmreid.models.heads.embae_head import NUISANCE, EmbAEHead, encoder_key
from mmreid.utils.checkpoint import read_checkpoint

from .load_state import in_parts
from .slots import slots_with

#: An encoder in the name of a weight.
_ENCODER = re.compile(r'^(?:module\.)?(heads\.(?:.+\.)?nuisance)\.(shared|d\d+(?:_c\d+)?)\.')


def fill_encoders(runner: Any, model_cfg: Dict) -> None:
    """Fill in ``encoders`` of every :class:`~mmreid.models.heads.EmbAEHead` of a model config, in place.

    The keys come from the training data or, where a runner has none (testing), from the checkpoint it is to load; if
    that has none of the kind, they stay open. Stated ones must include those of the training data. What a checkpoint
    that the training starts from has in common with them, and what not, is logged.

    Args:
        runner: A runner whose training data are built.
        model_cfg: The ``model`` of a config.

    Raises:
        ValueError: If the training data have no cameras, are of another kind than mmreid's, or need encoders that are
            not among the stated ones.
    """
    train = runner._train_dataloader
    if train is None:
        for slot in encoder_slots(model_cfg):
            if slot.get('encoders') is None:
                slot['encoders'] = [key for key in _kept_encoders(runner._load_from)
                                    if _kind(key) == slot['nuisance']] or None
        return
    for slot in encoder_slots(model_cfg):
        whence = 'the training data' if slot.get('encoders') is None else 'the config'
        fill_from_data(slot, train.dataset)
        runner.logger.info(f'{len(slot["encoders"])} nuisance encoders ({slot["nuisance"]}), from {whence}: '
                           f'{", ".join(slot["encoders"])}')
        _compare(runner, slot, getattr(train.dataset, 'metainfo', {}).get('cameras'))
    for slot in slots_with(model_cfg, 'nuisance'):
        if slot['nuisance'] == 'shared':
            _compare(runner, slot)


def fill_from_data(slot: Dict, dataset: Any) -> None:
    """Fill in the open ``encoders`` of one head from training data, in place, and check stated ones.

    Raises:
        ValueError: As :func:`fill_encoders`.
    """
    needed, stated = encoder_keys(dataset, slot['nuisance']), slot.get('encoders')
    absent = [] if stated is None else [key for key in needed if key not in stated]
    if absent:
        raise ValueError(f'encoders={tuple(stated)} of {slot.get("type")} lack {", ".join(absent)}, which the '
                         'training data have. Leave them None to have them filled in.')
    slot['encoders'] = needed if stated is None else stated


def encoder_slots(model_cfg: Any) -> Iterator[Dict]:
    """Configs of heads below ``model_cfg`` that have an encoder for each data set or camera."""
    return (slot for slot in slots_with(model_cfg, 'nuisance') if slot['nuisance'] in ('per_dataset', 'per_camera'))


def encoder_keys(dataset: Any, nuisance: str) -> List[str]:
    """Keys of the encoders that the images of a data set need, in the order of domains and cameras.

    Args:
        dataset: A data set with ``get_domains()`` and ``get_camids()``.
        nuisance: ``'per_dataset'`` or ``'per_camera'``.

    Raises:
        ValueError: If it does not tell, or cameras are not known.
    """
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    if not hasattr(dataset, 'get_domains') or not hasattr(dataset, 'get_camids'):
        raise ValueError(f'nuisance={nuisance!r} needs training data that tell the domain and the camera of every '
                         f'image (get_domains, get_camids), and {type(dataset).__name__} does not. Set '
                         "nuisance='shared', or name the encoders in the config (model.heads.NAME.encoders).")
    domains, camids = np.asarray(dataset.get_domains()), np.asarray(dataset.get_camids())
    if nuisance == 'per_dataset':
        return [encoder_key(nuisance, domain, None) for domain in np.unique(domains).tolist()]
    unknown = [*without_cameras(dataset), *([short_name(dataset)] if camids.min(initial=0) < 0 else [])]
    if unknown:
        raise ValueError(f"nuisance='per_camera' needs to know the camera of every image, and {unknown[0]} does not "
                         "tell. Set nuisance='shared' (or 'per_dataset'), or say the cameras where that data set is "
                         'configured (camera_pattern of a FolderReID, or a column camid in its list).')
    pairs = np.unique(np.stack([domains, camids], axis=1), axis=0)
    return [encoder_key(nuisance, domain, camid) for domain, camid in pairs.tolist()]


def _kept_encoders(filename: Optional[str]) -> List[str]:
    """Encoders in a checkpoint, in their order there."""
    if filename is None:
        return []
    found = (_ENCODER.match(key) for key in read_checkpoint(filename)['state_dict'])
    return list(dict.fromkeys(match[2] for match in found if match))


def untrained_encoders(model: nn.Module, taken: AbstractSet[str], hooks: Iterable[Any]) -> Optional[str]:
    """What is wrong with nuisance encoders that are new and stay so: no checkpoint has them and no phase trains them.

    Args:
        model: The network, after it was loaded.
        taken: Names of the weights that a checkpoint gave.
        hooks: Hooks of the training; those that freeze say what with ``frozen_throughout``.

    Returns:
        What is wrong and what to do, None if nothing is.
    """
    heads = [(name, module) for name, module in model.named_modules() if isinstance(module, EmbAEHead)]
    fresh = {f'{name}.nuisance.{key}': encoder for name, head in heads for key, encoder in head.nuisance.items()}
    fresh = {place: encoder for place, encoder in fresh.items()
             if any(f'{place}.{name}' not in taken for name, _ in encoder.named_parameters())}
    if not fresh:
        return None
    frozen = {parameter for hook in hooks if hasattr(hook, 'frozen_throughout')
              for parameter in hook.frozen_throughout(model)}
    stuck = [place for place, encoder in fresh.items() if any(p in frozen for p in encoder.parameters())]
    if not stuck:
        return None
    return (f'{_joined(stuck)} would stay as drawn: not taken from the checkpoint, and trained in no phase of '
            'PhaseHook. Train new encoders first, as the schedule of the forms "new" and "cam" does '
            "(configs/_base_/schedules/embae_new.py, a first phase with trainable=('heads.ae.nuisance', )), or start "
            "from an autoencoder that has these and take them, too: load_parts=('backbone', 'neck', 'heads.ae') (in "
            'a recipe: carry).')


def _compare(runner: Any, slot: Dict, cameras: Optional[Mapping] = None) -> None:
    """Say which encoders a training takes from its checkpoint, and warn where these are of another kind or data."""
    if runner._load_from is None or runner._resume:
        return
    checkpoint, parts = read_checkpoint(runner._load_from), runner.cfg.get('load_parts')
    parts = (parts, ) if isinstance(parts, str) else parts
    ours = ['shared'] if slot['nuisance'] == 'shared' else slot['encoders']
    theirs = {match[2]: match[1] for match in map(_ENCODER.match, checkpoint['state_dict']) if match}
    taken = [key for key in ours if key in theirs and (parts is None or in_parts(f'{theirs[key]}.{key}', parts))]
    new, dropped = ([key for key in some if key not in taken] for some in (ours, theirs))
    runner.logger.info(f'Nuisance encoders and {runner._load_from}: taken from it: {_joined(taken)}; new here: '
                       f'{_joined(new)}; left in the file: {_joined(dropped)}')
    kinds = dict.fromkeys(map(_kind, theirs))
    if kinds and slot['nuisance'] not in kinds:
        runner.logger.warning(
            f'{runner._load_from} is an autoencoder with nuisance={_joined(map(repr, kinds))}, this training has '
            f'nuisance={slot["nuisance"]!r}: its encoders ({_joined(theirs)}) are discarded, and all begin new, beside '
            'a decoder that was trained with the others.')
    past = ((checkpoint.get('meta') or {}).get('dataset_meta') or {}).get('cameras')
    was, now = ({key: _cameras_of(key, names) for key in taken} for names in (past, cameras))
    moved = [key for key in taken if was[key] and now[key] and was[key] != now[key]]
    if moved:
        runner.logger.warning(
            f'The encoders {_joined(moved)} of {runner._load_from} were trained on other data '
            f'({_joined(name for key in moved for name in was[key])}) than they go on with here '
            f'({_joined(name for key in moved for name in now[key])}), though their keys are the same. If these are '
            "other cameras, begin with new encoders: load_parts=('backbone', 'neck', 'heads.ae.decoder') and a first "
            'phase that trains them, or give the data set a domain_id of its own.')


def _kind(key: str) -> str:
    """The ``nuisance`` that has such an encoder."""
    return next(kind for kind, form in NUISANCE.items() if re.fullmatch(form, key))


def _cameras_of(key: str, cameras: Optional[Mapping[int, Mapping[int, str]]]) -> List[str]:
    """Names of the cameras of an encoder, as the ``cameras`` in the ``metainfo`` of a data set has them."""
    match = re.fullmatch(r'd(\d+)(?:_c(\d+))?', key)
    if cameras is None or match is None:
        return []
    names = cameras.get(int(match[1]), {})
    return [name for camid, name in sorted(names.items()) if match[2] in (None, str(camid))]


def _joined(names: Iterable[str]) -> str:
    return ', '.join(names) or 'none'
