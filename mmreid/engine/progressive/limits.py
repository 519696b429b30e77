"""Whether a search stays within what a batch can give."""

from typing import Any

from torch import nn

from mmreid.models.losses import GeneralizedBatchHardTripletLoss

from .space import SearchSpace


def check_ranks(space: SearchSpace, network: nn.Module, sampler: Any, verb: str = 'searched') -> None:
    """Refuse ranks k and p of a generalised batch-hard loss that no batch of the sampler has.

    Found out in a trial, hours could be lost; a sampler that does not tell its P and K is left to the loss.

    Args:
        space: What is searched or scheduled.
        network: The unwrapped model.
        sampler: Of the training data; P is its ``num_pids`` and K its ``num_instances``.
        verb: What is done with the ranks, for the message. Defaults to ``'searched'``.

    Raises:
        ValueError: If the upper bound of k is beyond the positives, or one of p beyond the negatives of an anchor.
    """
    people, images = getattr(sampler, 'num_pids', None), getattr(sampler, 'num_instances', None)
    if people is None or images is None:
        return
    for parameter in space.parameters:
        owner, _, name = parameter.target.rpartition('.')
        loss = network.get_submodule(owner) if owner in dict(network.named_modules()) else None
        if not isinstance(loss, GeneralizedBatchHardTripletLoss) or name not in ('k', 'p'):
            continue
        most = max(1, images - (not loss.include_self)) if name == 'k' else (people - 1) * images
        if parameter.high > most:
            kind = 'positives' if name == 'k' else 'negatives'
            raise ValueError(
                f'{parameter.name} is {verb} up to {name}={parameter.high}, and in a batch of P={people} identities '
                f'with K={images} images an anchor has {most} {kind}'
                + ('' if name == 'p' else f' (include_self={loss.include_self})')
                + f': let {parameter.name} be at most {most}, or let the sampler draw more '
                + ('num_instances' if name == 'k' else 'num_pids'))
