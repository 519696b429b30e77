# Market-1501 at 384x128 (height x width), 16 identities x 4 images a batch, flipped: the input of MGN.
_base_ = './market1501.py'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(128, 384)),  # (width, height)
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackReIDInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(128, 384)),
    dict(type='PackReIDInputs'),
]

train_dataloader = dict(
    batch_size=64,
    sampler=dict(_delete_=True, type='PKSampler', num_pids=16, num_instances=4),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
