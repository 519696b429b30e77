"""Gradient reversal at full size: 20,000 iterations at 0.001, as many as a step of DTL to a small data set.

One step: the classifiers are those of the source, so that there is no new layer to go ahead but the domain classifier,
which the schedule of the coefficient lets learn first.
"""

_base_ = './dtl_two_step_170k.py'

train_cfg = dict(max_iters=20000, val_interval=5000)
custom_hooks = [dict(type='GradientReversalHook', schedule='sigmoid', coefficient=1.0)]
