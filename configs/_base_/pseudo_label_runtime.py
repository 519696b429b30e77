"""How a training in rounds runs: as every other, and direct transfer, the score before the first round, is evaluated."""

_base_ = './default_runtime.py'

default_hooks = dict(initial_evaluation=dict(type='InitialEvaluationHook'))
