# Market-1501 at 224x224 as in PUL (section IV-B): rotated within 20 degrees, shifted within a fifth of each side (45
# pixels), not mirrored; batches of 16. What moves in is the ImageNet mean (BGR); the paper does not say.
_base_ = './market1501.py'

mean = (103.53, 116.28, 123.675)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(224, 224)),
    dict(type='mmpretrain.Rotate', magnitude_range=(0, 20), magnitude_std='inf', prob=1.0, pad_val=mean,
         interpolation='bilinear'),
    dict(type='mmpretrain.Translate', magnitude_range=(0, 0.2), magnitude_std='inf', prob=1.0, pad_val=mean),
    dict(type='mmpretrain.Translate', magnitude_range=(0, 0.2), magnitude_std='inf', prob=1.0, pad_val=mean,
         direction='vertical'),
    dict(type='PackReIDInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(224, 224)),
    dict(type='PackReIDInputs'),
]

train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
