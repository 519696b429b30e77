# Market-1501 as in DTL: 224x224, 32 identities x 2 images a batch, each image moved at random within 5 % of its sides,
# not mirrored, and tested by the Euclidean distance (section 3.2).
_base_ = ['./market1501.py', '../dtl_moved.py']

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(224, 224)),
    {{_base_._moved_x}},
    {{_base_._moved_y}},
    dict(type='PackReIDInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(224, 224)),
    dict(type='PackReIDInputs'),
]

train_dataloader = dict(
    batch_size=64,
    sampler=dict(_delete_=True, type='PKSampler', num_pids=32, num_instances=2),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(metric='euclidean')
test_evaluator = val_evaluator
