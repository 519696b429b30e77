"""DTL self-training with GoogLeNet, but for the data and for how long a step is.

Three rounds of two steps. Both are counted in epochs: a step has as many as make 20,000 iterations over the data.
"""

_base_ = [
    './models/dtl_googlenet_unlabelled.py',
    './schedules/dtl_rounds.py',
    './pseudo_label_runtime.py',
]

_first_step = dict(name='classifiers', trainable=('heads.id*', ), heads_on=('id*', ))
default_hooks = dict(
    pseudo_labels=dict(type='PseudoLabelHook', labeller=dict(type='CrossCameraNeighbours'), restart='continue'))
