# Market-1501 as in dtl_market1501.py at 128x64 (height x width), mirrored too and decoded once, one half of the
# training identities, 16 x 2 images a batch: for runs on a CPU.
_base_ = ['./market1501_small.py', '../dtl_moved.py']

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(64, 128)),  # (width, height)
    dict(type='RandomFlip', prob=0.5),
    {{_base_._moved_x}},
    {{_base_._moved_y}},
    dict(type='PackReIDInputs'),
]

train_dataloader = dict(
    batch_size=32,
    sampler=dict(_delete_=True, type='PKSampler', num_pids=16, num_instances=2),
    dataset=dict(pipeline=train_pipeline, pid_fold=(0, 2)))

val_evaluator = dict(metric='euclidean')
test_evaluator = val_evaluator
