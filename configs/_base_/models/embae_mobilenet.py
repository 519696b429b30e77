# EmbAE, step 1: MobileNet, a metric embedding of 128 numbers, soft-margin batch-hard triplet loss (sections 3.1, 3.2).
# The file of ImageNet weights has to be made once, see configs/embae/README.md; those weights want images in -1 ... 1.
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(type='ReIDDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True),
    backbone=dict(
        type='MobileNetV1', init_cfg=dict(type='Pretrained', checkpoint='checkpoints/mobilenet_v1_imagenet.pth')),
    neck=dict(type='EmbAENeck', in_channels=1024, hidden_channels=1024, feat_channels=128, pool='avg'),
    heads=dict(tri=dict(type='TripletHead', in_key='feat', loss=dict(type='TripletLoss', margin=None))))
