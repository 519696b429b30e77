# Domain 'a' of the drawn pedestrians for PLA at 128x64 (height x width): 200 people, each passed over once an epoch, 8
# identities x 4 images a batch.
_base_ = './synthetic.py'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(72, 144)),  # (width, height), 1.125 times those of the test
    dict(type='mmpretrain.RandomCrop', crop_size=(128, 64)),  # (height, width)
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackReIDInputs'),
]
train_dataloader = dict(
    batch_size=32,
    sampler=dict(_delete_=True, type='PKSampler', num_pids=8, num_instances=4, epoch_over='identities'),
    dataset=dict(num_train_pids=200, pipeline=train_pipeline))

val_evaluator = dict(metric='euclidean')
test_evaluator = val_evaluator
