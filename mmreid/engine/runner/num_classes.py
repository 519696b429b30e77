"""Filling in the number of identities that a classifier must tell apart."""

from typing import Any, Dict, Iterator

from mmreid.utils.checkpoint import read_checkpoint


def fill_num_classes(runner: Any, model_cfg: Dict) -> None:
    """Replace every ``num_classes=None`` of a model config, in place.

    The number comes from the training data (which are built for it, and used for training) or, where a runner has no
    training data (testing), from the checkpoint it is to load.

    Args:
        runner: A runner whose environment is set up.
        model_cfg: The ``model`` of a config.

    Raises:
        ValueError: If the number is needed and cannot be found.
    """
    open_slots = list(_open_slots(model_cfg))
    if not open_slots:
        return
    if runner._train_dataloader is not None:
        diff_rank_seed = runner._randomness_cfg.get('diff_rank_seed', False)
        runner._train_dataloader = runner.build_dataloader(
            runner._train_dataloader, seed=runner.seed, diff_rank_seed=diff_rank_seed)
        metainfo, source = runner._train_dataloader.dataset.metainfo, 'the training data'
    elif runner._load_from is not None:
        meta, source = read_checkpoint(runner._load_from).get('meta', {}), runner._load_from
        metainfo = meta.get('dataset_meta') or {}
    else:
        metainfo, source = {}, 'a config without training data and checkpoint'
    number = metainfo.get('num_classes')
    if number is None:
        raise ValueError(f'num_classes of a head is None and {source} does not tell it. Set it in the config '
                         '(model.heads.NAME.num_classes=N).')
    for slot in open_slots:
        slot['num_classes'] = int(number)
    runner.logger.info(f'num_classes = {number}, from {source}')


def _open_slots(node: Any) -> Iterator[Dict]:
    """Dicts below ``node`` that have ``num_classes=None``."""
    if isinstance(node, dict):
        if 'num_classes' in node and node['num_classes'] is None:
            yield node
        for value in node.values():
            yield from _open_slots(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _open_slots(value)
