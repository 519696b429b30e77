"""IDE with ResNet-18 on 400 people of synthetic domain a, from scratch: the source of the unsupervised quick start."""

_base_ = [
    '../_base_/models/ide_resnet18.py',
    '../_base_/datasets/synthetic_ide.py',
    '../_base_/schedules/synthetic.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(logger=dict(interval=10), initial_evaluation=dict(type='InitialEvaluationHook'))
