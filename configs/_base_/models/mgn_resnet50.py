# MGN with ResNet-50 as in the reproduction that PTL used: one reduction shared by all eight vectors, softmax on
# each of them reduced, batch-hard triplets on the three global ones.
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='MGNResNet',
        depth=50,
        branches=[dict(last_stride=2), dict(last_stride=1), dict(last_stride=1)],
        out_indices=(0, 5, 6, 7),  # the branches, and the image to name its size in errors
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    neck=dict(
        type='PartPoolingNeck',
        in_channels=2048,
        feat_channels=256,
        branches=[dict(stripes=1), dict(stripes=2), dict(stripes=3)],
        pool='max',
        reduction='shared'),
    heads=dict(
        id=dict(
            type='HeadGroup',
            in_keys=['global_1', 'global_2', 'global_3', 'part_2_1', 'part_2_2', 'part_3_1', 'part_3_2', 'part_3_3'],
            head=dict(
                type='ClassificationHead',
                in_channels=256,
                num_classes=None,  # filled in from the training dataset
                loss=dict(type='CrossEntropyLoss'))),
        triplet=dict(
            type='HeadGroup',
            in_keys=['global_1', 'global_2', 'global_3'],
            head=dict(type='TripletHead', loss=dict(type='TripletLoss', margin=1.2)))))
