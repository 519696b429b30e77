# DTL (section 3.1, Figure 1) with the losses SID + PV: GoogLeNet, its two auxiliary branches, and on each of the three
# embeddings a classifier behind random dropout and a verification subnet behind pairwise-consistent dropout.
# Verification : classification = 3 : 1 (section 5.2). Not in the paper: the weight of the auxiliary losses, 0.3, and
# the dropout, 0.4 and 0.7 on the auxiliary branches; both are GoogLeNet's, for either kind of loss.
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='GoogLeNet',
        out_indices=(0, 1, 2),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://googlenet')),
    neck=dict(type='DTLNeck', in_channels=(512, 528, 1024)),
    heads=dict(
        # num_classes is filled in from the training dataset
        id=dict(type='ClassificationHead', in_key='feat', in_channels=1024, num_classes=None, dropout=0.4,
                loss=dict(type='CrossEntropyLoss', loss_weight=1.0)),
        id_aux1=dict(type='ClassificationHead', in_key='aux1', in_channels=1024, num_classes=None, dropout=0.7,
                     loss=dict(type='CrossEntropyLoss', loss_weight=0.3)),
        id_aux2=dict(type='ClassificationHead', in_key='aux2', in_channels=1024, num_classes=None, dropout=0.7,
                     loss=dict(type='CrossEntropyLoss', loss_weight=0.3)),
        ver=dict(type='VerificationHead', in_key='feat', in_channels=1024, dropout=0.4, loss_weight=3.0),
        ver_aux1=dict(type='VerificationHead', in_key='aux1', in_channels=1024, dropout=0.7, loss_weight=0.9),
        ver_aux2=dict(type='VerificationHead', in_key='aux2', in_channels=1024, dropout=0.7, loss_weight=0.9)))

# The triplet loss TL of Tables 4 and 5, for configs that take it. The paper says neither which triplets nor how much
# they weigh: batch-hard, margin 0.3, as much as classification.
_triplet = dict(
    tri=dict(type='TripletHead', in_key='feat', dropout=0.4, loss=dict(type='TripletLoss', loss_weight=1.0)),
    tri_aux1=dict(type='TripletHead', in_key='aux1', dropout=0.7, loss=dict(type='TripletLoss', loss_weight=0.3)),
    tri_aux2=dict(type='TripletHead', in_key='aux2', dropout=0.7, loss=dict(type='TripletLoss', loss_weight=0.3)))
