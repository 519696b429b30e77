# GoogLeNet and an autoencoder on its feature, 1024-512-1024 (DTL, section 5.6). Its weights come from a stage before.
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(type='GoogLeNet', init_cfg=None),
    neck=dict(type='AutoencoderNeck', in_channels=1024, code_channels=512),
    heads=dict(ae=dict(type='AutoencoderHead', out_channels=1024, code_channels=512)))
