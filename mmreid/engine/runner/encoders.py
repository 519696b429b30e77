"""Filling in for which data sets or cameras an autoencoder needs nuisance encoders."""

import re
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np

from mmreid.models.heads.embae_head import encoder_key
from mmreid.utils.checkpoint import read_checkpoint

from .load_state import in_parts
from .slots import slots_with

#: An encoder in the name of a weight.
_ENCODER = re.compile(r'^(?:module\.)?(heads\.(?:.+\.)?nuisance)\.(d\d+(?:_c\d+)?)\.')


def fill_encoders(runner: Any, model_cfg: Dict) -> None:
    """Fill in ``encoders`` of every :class:`~mmreid.models.heads.EmbAEHead` of a model config, in place.

    The keys come from the training data or, where a runner has none (testing), from the checkpoint it is to load; if
    there is none either, they stay open. Stated ones must include those of the training data. What a checkpoint that
    the training starts from has in common with them, and what not, is logged.

    Args:
        runner: A runner whose training data are built.
        model_cfg: The ``model`` of a config.

    Raises:
        ValueError: If the training data have no cameras, are of another kind than mmreid's, or need encoders that are
            not among the stated ones.
    """
    slots = list(encoder_slots(model_cfg))
    if not slots:
        return
    train = runner._train_dataloader
    if train is None:
        kept = _kept_encoders(runner._load_from)
        for slot in slots:
            if slot.get('encoders') is None:
                slot['encoders'] = kept or None
        return
    for slot in slots:
        needed = encoder_keys(train.dataset, slot['nuisance'])
        stated = slot.get('encoders')
        if stated is None:
            slot['encoders'] = needed
        absent = [key for key in needed if key not in slot['encoders']]
        if absent:
            raise ValueError(f'encoders={tuple(stated)} of {slot.get("type")} lack {", ".join(absent)}, which the '
                             'training data have. Leave them None to have them filled in.')
        runner.logger.info(f'{len(slot["encoders"])} nuisance encoders ({slot["nuisance"]}), from '
                           f'{"the training data" if stated is None else "the config"}: {", ".join(slot["encoders"])}')
        _compare(runner, slot['encoders'], getattr(train.dataset, 'metainfo', {}).get('identities'))


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
    unknown = [*_without_cameras(dataset), *([_named(dataset)] if camids.min(initial=0) < 0 else [])]
    if unknown:
        raise ValueError(f"nuisance='per_camera' needs to know the camera of every image, and {unknown[0]} does not "
                         "tell. Set nuisance='shared' (or 'per_dataset'), or say the cameras where that data set is "
                         'configured (camera_pattern of a FolderReID, or a column camid in its list).')
    pairs = np.unique(np.stack([domains, camids], axis=1), axis=0)
    return [encoder_key(nuisance, domain, camid) for domain, camid in pairs.tolist()]


def _without_cameras(dataset: Any) -> Iterator[str]:
    """Names of data sets, or parts of one, that know no cameras or a single one only."""
    parts = getattr(dataset, 'datasets', None) or getattr(dataset, 'dataset', None)
    if parts is not None:
        for part in parts if isinstance(parts, (list, tuple)) else [parts]:
            yield from _without_cameras(part)
    elif getattr(dataset, 'has_cameras', True) is False:
        yield _named(dataset)


def _named(dataset: Any) -> str:
    return dataset.summary().split('\n')[0] if hasattr(dataset, 'summary') else type(dataset).__name__


def _kept_encoders(filename: Optional[str]) -> List[str]:
    """Encoders in a checkpoint, in their order there."""
    if filename is None:
        return []
    found = (_ENCODER.match(key) for key in read_checkpoint(filename)['state_dict'])
    return list(dict.fromkeys(match[2] for match in found if match))


def _compare(runner: Any, ours: Sequence[str], identities: Optional[str]) -> None:
    """Say which encoders a training takes from its checkpoint, and warn where these are of other data."""
    if runner._load_from is None or runner._resume:
        return
    checkpoint, parts = read_checkpoint(runner._load_from), runner.cfg.get('load_parts')
    parts = (parts, ) if isinstance(parts, str) else parts
    theirs = {match[2]: match[1] for match in map(_ENCODER.match, checkpoint['state_dict']) if match}
    taken = [key for key in ours if key in theirs and (parts is None or in_parts(f'{theirs[key]}.{key}', parts))]
    new, dropped = ([key for key in some if key not in taken] for some in (ours, theirs))
    runner.logger.info(f'Nuisance encoders and {runner._load_from}: taken from it: {_joined(taken)}; new here: '
                       f'{_joined(new)}; left in the file: {_joined(dropped)}')
    past = ((checkpoint.get('meta') or {}).get('dataset_meta') or {}).get('identities')
    if taken and None not in (past, identities) and past != identities:
        runner.logger.warning(
            f'The encoders {_joined(taken)} of {runner._load_from} were trained on other data ({past}) than they go on '
            f'with here ({identities}), though their keys are the same. If these are other cameras, begin with new '
            "ones: load_parts=('backbone', 'neck', 'heads.ae.decoder'), or give the data set a domain_id of its own.")


def _joined(keys: Sequence[str]) -> str:
    return ', '.join(keys) or 'none'
