"""How a training in rounds runs: as every other, and the score before the first round (direct transfer) is taken."""

_base_ = './default_runtime.py'

default_hooks = dict(initial_evaluation=dict(type='InitialEvaluationHook'))
