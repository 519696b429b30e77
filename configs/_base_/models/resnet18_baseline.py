# ResNet-18 from scratch with a small feature: for quick runs on a CPU.
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(type='ResNetTaps', depth=18, out_indices=(5, )),
    neck=dict(
        type='ReductionNeck',
        in_channels=512,
        feat_channels=256,
        pool='avg',
        reduction_cfg=dict(bias=False)),  # the classifier's first batch norm would cancel it
    heads=dict(
        id=dict(
            type='ClassificationHead',
            in_channels=256,
            hidden_channels=(256, 256),
            num_classes=None,  # filled in from the training dataset
            loss=dict(type='CrossEntropyLoss'))))
