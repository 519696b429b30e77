"""PLA with triplets alone, with ResNet-50 on Market-1501 (Figure 3)."""

_base_ = [
    '../_base_/models/pla_resnet50_single.py',
    '../_base_/datasets/pla_market1501_multi.py',
    '../_base_/schedules/pla_3000e.py',
    '../_base_/pla_runtime.py',
]

model = dict(heads=dict(_delete_=True, tri={{_base_.model.heads.tri}}))
# The weight of the only loss is not searched: Adam does not see it, and 0 would train nothing.
train_cfg = dict(space=dict(loss_weight=None))
