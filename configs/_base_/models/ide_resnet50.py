# IDE, the network of PUL (section IV): ResNet-50, the output of its average pooling is the feature; for training a
# classifier behind dropout.
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='ResNetTaps',
        depth=50,
        out_indices=(5, ),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    neck=dict(type='ReductionNeck', in_channels=2048, feat_channels=None, pool='avg'),
    heads=dict(
        id=dict(
            type='ClassificationHead',
            in_channels=2048,
            num_classes=None,  # filled in from the training dataset
            dropout=0.5,
            init_std=0.001,
            loss=dict(type='CrossEntropyLoss'))))
