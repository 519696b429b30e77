# Drawn pedestrians of domain 'a' at 128x64 (height x width), 16 identities x 2 pictures a batch, moved within 5 %.
_base_ = ['./synthetic.py', '../dtl_moved.py']

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomFlip', prob=0.5),
    {{_base_._moved_x}},
    {{_base_._moved_y}},
    dict(type='PackReIDInputs'),
]

train_dataloader = dict(
    batch_size=32,
    sampler=dict(_delete_=True, type='PKSampler', num_pids=16, num_instances=2),
    dataset=dict(pipeline=train_pipeline))

val_evaluator = dict(metric='euclidean')
test_evaluator = val_evaluator
