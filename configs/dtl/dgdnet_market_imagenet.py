"""DTL with DGDNet on Market-1501 from ImageNet in two steps, SID+PV (DTL, Table 8)."""

_base_ = [
    '../_base_/models/dtl_dgdnet.py',
    '../_base_/datasets/dtl_market1501_144x56.py',
    '../_base_/schedules/dtl_two_step_170k.py',
    '../_base_/dtl_runtime.py',
]

# No weights are published: pre-train the backbone elsewhere, or leave this row out.
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='checkpoints/dgdnet_imagenet.pth')))
