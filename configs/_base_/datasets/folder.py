# Your own images, data/my_images/<identity>/*.jpg, at 256x128 (height x width); half of the identities are for testing.
# With cameras in the file names (0001_c2.jpg), set camera_pattern=r'_c(\d+)' in both datasets and
# protocols=['market1501'] below; with a list, annotations='list.csv'.
dataset_type = 'FolderReID'
data_root = 'data/my_images'

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
    dataset=dict(type=dataset_type, data_root=data_root, split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EvalSampler'),
    dataset=dict(type=dataset_type, data_root=data_root, split='test', pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='ReIDMetric', protocols=['all'])  # without cameras, the only one with matches
test_evaluator = val_evaluator
