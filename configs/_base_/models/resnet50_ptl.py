# ResNet-50 with PTL: a cell on the image and four cells on the stem and layers 1 to 3.
_base_ = './resnet50_baseline.py'

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3, 4, 5)),
    neck=dict(
        _delete_=True,
        type='PTLNeck',
        in_channels=(3, 64, 256, 512, 1024, 2048),
        cell_channels=(32, 64, 128, 256, 256),
        fusion_channels=(64, 128, 256, 256),
        strides=(4, 1, 2, 2, 2),
        feat_channels=1024,
        state_mode='sample',
        reduction_cfg=dict(bias=False),
        pool='avg'))
