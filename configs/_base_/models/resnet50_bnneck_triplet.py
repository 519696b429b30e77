# The strong baseline: last stride 1, BNNeck, cross-entropy with label smoothing and batch-hard triplet loss.
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='ResNetTaps',
        depth=50,
        out_indices=(5, ),
        last_stride=1,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    neck=dict(type='BNNeck', in_channels=2048, pool='avg'),
    heads=dict(
        id=dict(
            type='ClassificationHead',
            in_key='feat',
            in_channels=2048,
            num_classes=None,  # filled in from the training dataset
            bias=False,
            loss=dict(type='CrossEntropyLoss', label_smoothing=0.1)),
        triplet=dict(type='TripletHead', in_key='feat_before_bn', loss=dict(type='TripletLoss', margin=0.3))))
