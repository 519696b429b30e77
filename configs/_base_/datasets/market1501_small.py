# Market-1501 at 128x64 (height x width), decoded once: for runs on a CPU.
_base_ = './market1501.py'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(64, 128)),  # (width, height)
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackReIDInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(64, 128)),
    dict(type='PackReIDInputs'),
]

train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline, cache=True))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
