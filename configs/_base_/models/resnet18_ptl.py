# ResNet-18 with PTL, small and from scratch: for quick runs on a CPU.
_base_ = './resnet18_baseline.py'

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3, 4, 5)),
    neck=dict(
        _delete_=True,
        type='PTLNeck',
        in_channels=(3, 64, 64, 128, 256, 512),
        cell_channels=(16, 32, 32, 64, 64),
        fusion_channels=(32, 32, 64, 64),
        strides=(4, 1, 2, 2, 2),
        feat_channels=256,
        state_mode='sample',
        reduction_cfg=dict(bias=False),
        pool='avg'))
