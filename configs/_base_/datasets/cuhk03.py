# CUHK03, boxes of the detector, 767 training and 700 test identities, at 256x128 (height x width), resized and flipped.
dataset_type = 'CUHK03'
data_root = 'data/cuhk03_release'
protocol = 'new'
box = 'detected'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(128, 256)),  # (width, height)
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackReIDInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(128, 256)),
    dict(type='PackReIDInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='ShuffleSampler'),
    dataset=dict(
        type=dataset_type, data_root=data_root, protocol=protocol, box=box, split='train',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EvalSampler'),
    dataset=dict(
        type=dataset_type, data_root=data_root, protocol=protocol, box=box, split='test',
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='ReIDMetric', protocols=['cuhk03-np'])
test_evaluator = val_evaluator
