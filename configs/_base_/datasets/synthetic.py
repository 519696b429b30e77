# Drawn pedestrians of domain 'a' at 128x64 (height x width): no download, kept in memory.
dataset_type = 'SyntheticReID'
domain = 'a'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackReIDInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='PackReIDInputs'),
]

# The pictures are drawn at the size of the input and kept in memory: loading takes less time than a worker would.
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    drop_last=True,
    sampler=dict(type='ShuffleSampler'),
    dataset=dict(type=dataset_type, domain=domain, split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type='EvalSampler'),
    dataset=dict(type=dataset_type, domain=domain, split='test', pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='ReIDMetric', protocols=['market1501', 'nd'])
test_evaluator = val_evaluator
