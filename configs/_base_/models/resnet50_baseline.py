# ResNet-50, global average pooling, 1x1 convolution to the feature, classifier of three fully connected layers: the
# network of PTL's comparison rows.
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='ResNetTaps',
        depth=50,
        out_indices=(5, ),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    neck=dict(
        type='ReductionNeck',
        in_channels=2048,
        feat_channels=1024,
        pool='avg',
        reduction_cfg=dict(bias=False)),  # the classifier's first batch norm would cancel it
    heads=dict(
        id=dict(
            type='ClassificationHead',
            in_channels=1024,
            hidden_channels=(1024, 1024),
            num_classes=None,  # filled in from the training dataset
            loss=dict(type='CrossEntropyLoss'))))
