"""DTL self-training with GoogLeNet on PRID 2011 without labels; one of ten splits.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = ['../_base_/dtl_selftrain.py', '../_base_/datasets/dtl_prid2011_unlabelled.py']

_step = 6667  # epochs of 3 batches: 20,000 iterations
train_cfg = dict(max_epochs=3 * 2 * _step, val_interval=2 * _step)
default_hooks = dict(checkpoint=dict(interval=_step), pseudo_labels=dict(epochs_per_round=2 * _step))
custom_hooks = [
    dict(type='PhaseHook', cycle=2 * _step, phases=[{{_base_._first_step}}, dict(name='everything', begin=_step)])
]
