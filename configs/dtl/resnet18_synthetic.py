"""DTL's losses with ResNet-18 on the synthetic data, from scratch, sized for a CPU."""

_base_ = [
    '../_base_/models/dtl_resnet18.py',
    '../_base_/datasets/dtl_synthetic.py',
    '../_base_/schedules/dtl_synthetic.py',
    '../_base_/dtl_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=200), logger=dict(interval=20))
