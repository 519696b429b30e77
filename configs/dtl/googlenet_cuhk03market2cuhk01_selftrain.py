"""DTL self-training with GoogLeNet on CUHK01 without labels; one of ten splits.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = ['../_base_/dtl_selftrain.py', '../_base_/datasets/dtl_cuhk01_unlabelled.py']

_step = 1333  # epochs of 15 batches: 20,000 iterations
train_cfg = dict(max_epochs=3 * 2 * _step, val_interval=2 * _step)
default_hooks = dict(checkpoint=dict(interval=_step), pseudo_labels=dict(epochs_per_round=2 * _step))
custom_hooks = [
    dict(type='PhaseHook', cycle=2 * _step, phases=[{{_base_._first_step}}, dict(name='everything', begin=_step)])
]
