# Market-1501 as the code released with PTL loads it: 384x128, bicubic, 4 identities x 4 images a batch, flipped, parts
# erased; an epoch takes every identity once.
_base_ = './market1501_mgn.py'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(128, 384), interpolation='bicubic'),  # (width, height)
    dict(type='RandomFlip', prob=0.5),
    # filled with the ImageNet mean, which is zero after normalisation (BGR)
    dict(type='mmpretrain.RandomErasing', erase_prob=0.5, min_area_ratio=0.02, max_area_ratio=0.4,
         fill_color=(103.53, 116.28, 123.675)),
    dict(type='PackReIDInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(128, 384), interpolation='bicubic'),
    dict(type='PackReIDInputs'),
]

train_dataloader = dict(
    batch_size=16,
    sampler=dict(num_pids=4, epoch_over='identities'),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
