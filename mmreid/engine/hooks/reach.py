"""Whether a position of a schedule is one that the training comes to."""

from typing import Any

from mmengine.runner import IterBasedTrainLoop


def refuse_unreached(runner: Any, hook: str, what: str, begin: int, by_epoch: bool, changes: bool, remedy: str) -> None:
    """Refuse something that would begin after the end of the training.

    Args:
        runner: The runner, whose training is about to start.
        hook: Name of the hook, for messages.
        what: What would begin, for messages.
        begin: Epoch or iteration, from 0.
        by_epoch: Which of them.
        changes: Whether the batches of an epoch may be more or fewer later on (rounds of pseudo labels), so that the
            number of iterations under epoch-based training is not known now.
        remedy: What to do, besides a smaller ``begin`` and a longer training.

    Raises:
        ValueError: If epochs are counted in a training by iterations, or the training ends before ``begin``.
    """
    by_iterations = isinstance(runner.train_loop, IterBasedTrainLoop)
    if by_epoch and by_iterations:
        raise ValueError(f'{what} begins at epoch {begin} (by_epoch=True), and a training by iterations (max_iters='
                         f'{runner.max_iters}) is in its first epoch to the end: set by_epoch=False of {hook} and '
                         'count begin in iterations')
    if changes and not by_epoch and not by_iterations:
        return
    unit, limit, end = ('epoch', 'max_epochs', runner.max_epochs) if by_epoch else (
        'iteration', 'max_iters', runner.max_iters)
    if begin >= end:
        raise ValueError(f'{what} begins at {unit} {begin} (counted from 0, by_epoch={by_epoch}), and the training '
                         f'ends before it, {limit}={end}: let begin be smaller, train longer, or {remedy}')
