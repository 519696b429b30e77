# DTL's losses on a small ResNet-18 from scratch, for runs on a CPU: auxiliary branches on layer2 and layer3, embeddings
# of 512 values, verification subnets of 256 units.
_base_ = './dtl_googlenet.py'

model = dict(
    backbone=dict(_delete_=True, type='ResNetTaps', depth=18, out_indices=(3, 4, 5)),
    neck=dict(in_channels=(128, 256, 512), aux_cfg=dict(feat_channels=512, mid_channels=64)),
    heads=dict(
        id=dict(in_channels=512),
        id_aux1=dict(in_channels=512),
        id_aux2=dict(in_channels=512),
        ver=dict(in_channels=512, hidden_channels=256),
        ver_aux1=dict(in_channels=512, hidden_channels=256),
        ver_aux2=dict(in_channels=512, hidden_channels=256)))
