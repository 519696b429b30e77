"""ResNet-18 on the embedded synthetic data, taught by a ResNet-18+PTL, from scratch."""

_base_ = [
    '../_base_/models/resnet18_std.py',
    '../_base_/datasets/synthetic.py',
    '../_base_/schedules/synthetic.py',
    '../_base_/default_runtime.py',
]

# Trained from scratch on 128x64 images: a few minutes on two CPU cores.
default_hooks = dict(
    logger=dict(interval=10),
    initial_evaluation=dict(type='InitialEvaluationHook'))
