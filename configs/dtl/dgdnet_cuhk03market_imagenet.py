"""DTL with DGDNet on CUHK03 and Market-1501 merged, from ImageNet in two steps (for Table 8)."""

_base_ = [
    '../_base_/models/dtl_dgdnet.py',
    '../_base_/datasets/dtl_cuhk03market_144x56.py',
    '../_base_/schedules/dtl_two_step_170k.py',
    '../_base_/dtl_runtime.py',
]

# No weights are published: pre-train the backbone elsewhere, or leave this row out.
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='checkpoints/dgdnet_imagenet.pth')))
