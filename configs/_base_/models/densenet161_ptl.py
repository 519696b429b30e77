# DenseNet-161 with PTL: a cell on the image and four cells on the stem and dense blocks 1 to 3. Widths are multiples of
# the growth rate, 48.
_base_ = './densenet161_baseline.py'

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3, 4, 5)),
    neck=dict(
        _delete_=True,
        type='PTLNeck',
        in_channels=(3, 96, 192, 384, 1056, 2208),
        cell_channels=(48, 96, 192, 288, 288),
        fusion_channels=(96, 192, 384, 384),
        strides=(4, 2, 2, 2, 1),
        feat_channels=1024,
        state_mode='sample',
        reduction_cfg=dict(bias=False),
        pool='avg'))
