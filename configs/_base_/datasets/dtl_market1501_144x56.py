# Market-1501 as in dtl_market1501.py at 144x56 (height x width), the input that DGDNet was made for.
_base_ = './dtl_market1501.py'

mean = (103.53, 116.28, 123.675)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(56, 144)),  # (width, height)
    dict(type='mmpretrain.Translate', magnitude_range=(0, 0.05), magnitude_std='inf', prob=1.0, pad_val=mean,
         interpolation='bilinear'),
    dict(type='mmpretrain.Translate', magnitude_range=(0, 0.05), magnitude_std='inf', prob=1.0, pad_val=mean,
         interpolation='bilinear', direction='vertical'),
    dict(type='PackReIDInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(56, 144)),
    dict(type='PackReIDInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
