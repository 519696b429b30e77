"""PLA with triplets alone, with ResNet-18 on half of Market-1501 at 128x64."""

_base_ = [
    '../_base_/models/pla_resnet18_single.py',
    '../_base_/datasets/pla_market1501_small.py',
    '../_base_/schedules/pla_small.py',
    '../_base_/pla_small_runtime.py',
]

model = dict(heads=dict(_delete_=True, tri={{_base_.model.heads.tri}}))
# The weight of the only loss is not searched: Adam does not see it, and 0 would train nothing.
train_cfg = dict(space=dict(loss_weight=None))
