"""PLA with ResNet-18 on the embedded synthetic data, from scratch."""

_base_ = [
    '../_base_/models/pla_resnet18.py',
    '../_base_/datasets/pla_synthetic.py',
    '../_base_/schedules/pla_small.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(logger=dict(interval=10), initial_evaluation=dict(type='InitialEvaluationHook'))
