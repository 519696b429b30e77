# MGN with PTL, the network that the authors released: two cells in series on the image, one each on stem, layer1 and
# layer2, and one for each branch on layer3[0]; widths and strides are theirs.
_base_ = './mgn_resnet50.py'

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3, 4, 5, 6, 7)),
    neck=dict(
        _delete_=True,
        type='MGNPTLNeck',
        in_channels=(3, 64, 256, 512, 1024),
        cell_channels=((16, 32), 64, 256, 512),
        fusion_channels=(64, 128, 256, 512),
        strides=((2, 2), 1, 2, 2),
        branch_channels=2048,
        branch_cells=[dict(channels=128, stride=2), dict(channels=128, stride=1), dict(channels=128, stride=1)],
        state_mode='sample',
        parts=dict(
            feat_channels=256,
            branches=[dict(stripes=1), dict(stripes=2), dict(stripes=3)],
            pool='max',
            reduction='shared')))
