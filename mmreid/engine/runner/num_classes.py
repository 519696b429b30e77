"""Filling in what a model must know of the data: identities to tell apart, and cameras."""

from typing import Any, Dict, Iterator

from mmreid.utils.checkpoint import read_checkpoint

from .encoders import encoder_slots, fill_encoders
from .slots import slots_with


def fill_num_classes(runner: Any, model_cfg: Dict) -> None:
    """Replace every ``num_classes=None`` of a model config, in place, and check those that are stated; likewise
    ``encoders`` of an autoencoder, see :func:`fill_encoders`.

    The number comes from the training data (which are built for it, and used for training) or, where a runner has no
    training data (testing), from the checkpoint it is to load; if that does not tell, heads are left out.

    Args:
        runner: A runner whose environment is set up.
        model_cfg: The ``model`` of a config.

    Raises:
        ValueError: If the number is needed and cannot be found, or a stated one differs from the training data's.
    """
    if runner._train_dataloader is not None and (any(class_slots(model_cfg)) or any(encoder_slots(model_cfg))):
        diff_rank_seed = runner._randomness_cfg.get('diff_rank_seed', False)
        runner._train_dataloader = runner.build_dataloader(
            runner._train_dataloader, seed=runner.seed, diff_rank_seed=diff_rank_seed)
    _fill_classes(runner, model_cfg)
    fill_encoders(runner, model_cfg)


def _fill_classes(runner: Any, model_cfg: Dict) -> None:
    slots = list(class_slots(model_cfg))
    is_open = any(slot['num_classes'] is None for slot in slots)
    if not slots or (runner._train_dataloader is None and not is_open):
        return
    if runner._train_dataloader is not None:
        metainfo, source = getattr(runner._train_dataloader.dataset, 'metainfo', {}), 'the training data'
    elif runner._load_from is not None:
        meta, source = read_checkpoint(runner._load_from).get('meta', {}), runner._load_from
        metainfo = meta.get('dataset_meta') or {}
    else:
        metainfo, source = {}, 'a config without training data and checkpoint'
    number = metainfo.get('num_classes')
    network = model_cfg.get('module', model_cfg)  # test-time augmentation wraps the network
    if number is None and is_open and runner._train_dataloader is None and 'heads' in network:
        network['heads'] = None  # evaluation needs no classifier
        return
    if number is None and is_open:
        raise ValueError(f'num_classes of a head is None and {source} does not tell it. Set it in the config '
                         '(model.heads.NAME.num_classes=N).')
    for slot in slots:
        if slot['num_classes'] is None:
            slot['num_classes'] = int(number)
        elif number is not None and runner._train_dataloader is not None and slot['num_classes'] != number:
            raise ValueError(f'num_classes={slot["num_classes"]} of a {slot.get("type", "head")} does not match '
                             f'{source}, which have {number} identities. Leave it None in the config to have it '
                             'filled in.')
    if is_open:
        runner.logger.info(f'num_classes = {number}, from {source}')


def class_slots(node: Any) -> Iterator[Dict]:
    """Dicts below ``node`` that have a ``num_classes``; a teacher's are its own affair."""
    return slots_with(node, 'num_classes')
