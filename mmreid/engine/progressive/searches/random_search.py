"""The baseline that a guided search has to beat."""

from mmreid.registry import TASK_UTILS

from ..space import SearchSpace, Values
from .base import History, HyperParameterSearch


@TASK_UTILS.register_module()
class RandomSearch(HyperParameterSearch):
    """Tries sets that are drawn evenly and exploits the best of those of the cycle.

    A set is drawn from the seed, the cycle and the number of the trial, whatever came out of the others, and differs
    from those of the same cycle. Where all trials of a cycle failed, what is exploited is one more draw.

    Example:
        >>> from mmreid.engine.progressive import RandomSearch, SearchSpace
        >>> space = SearchSpace(dict(k=dict(target='heads.tri.loss_module.k', low=1, high=8, integer=True)))
        >>> tried = [dict(values=dict(k=k), objective=abs(k - 3), cycle=0, trial=k) for k in (1, 4, 8)]
        >>> RandomSearch().choose(space, tried, seed=0)
        {'k': 4}
    """

    def _suggest(self, space: SearchSpace, history: History, seed: int) -> Values:
        return history.draw_new(space, history.rng(seed))

    def _choose(self, space: SearchSpace, history: History, seed: int) -> Values:
        best = history.best(history.rows_of_cycle)
        return self._suggest(space, history, seed) if best is None else history.values[best]
