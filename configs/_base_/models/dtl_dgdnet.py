# DTL's losses on DGDNet (Table 8), from scratch. It has no auxiliary branches, so there are two losses. The feature is
# that of its authors: a fully connected layer of 256 with batch norm and ReLU, behind which they have dropout 0.5.
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(type='DGDNet', out_indices=(4, )),
    neck=dict(
        type='DTLNeck', in_channels=(1536, ), aux=False, feat_channels=256,
        reduction_cfg=dict(norm_cfg=dict(type='BN1d'), act_cfg=dict(type='ReLU'))),
    heads=dict(
        id=dict(type='ClassificationHead', in_key='feat', in_channels=256, num_classes=None, dropout=0.5,
                loss=dict(type='CrossEntropyLoss', loss_weight=1.0)),
        ver=dict(type='VerificationHead', in_key='feat', in_channels=256, dropout=0.5, loss_weight=3.0)))
