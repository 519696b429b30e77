# PLA: ResNet-50, global max pooling, one 1x1 convolution to 1024 numbers for the classifier and one for the
# triplets; both in a row are the feature (section 3.1). k = p = 1 with no margin is batch hard with a soft margin.
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='ResNetTaps',
        depth=50,
        out_indices=(5, ),
        last_stride=1,  # the paper's Mult-Adds (section 4.5) are those of this stride
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    neck=dict(type='CompositeNeck', in_channels=2048, out_channels=dict(ce=1024, tri=1024), pool='max'),
    heads=dict(
        ce=dict(
            type='ClassificationHead',
            in_key='ce',
            in_channels=1024,
            num_classes=None,  # filled in from the training dataset
            loss=dict(type='CrossEntropyLoss')),
        tri=dict(
            type='TripletHead',
            in_key='tri',
            loss=dict(type='GeneralizedBatchHardTripletLoss', k=1, p=1, margin=0.0, loss_weight=1.0))))
