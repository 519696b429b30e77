# Market-1501 for PLA at 128x64 (height x width), decoded once: one half of the training identities, each passed over
# once an epoch, 8 identities x 4 images a batch. For runs on a CPU.
_base_ = './market1501_small.py'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(72, 144)),  # (width, height), 1.125 times those of the test
    dict(type='mmpretrain.RandomCrop', crop_size=(128, 64)),  # (height, width)
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpretrain.RandomErasing', erase_prob=0.5, max_area_ratio=0.4, fill_color=(103.53, 116.28, 123.675)),
    dict(type='PackReIDInputs'),
]
train_dataloader = dict(
    batch_size=32,
    sampler=dict(_delete_=True, type='PKSampler', num_pids=8, num_instances=4, epoch_over='identities'),
    dataset=dict(pipeline=train_pipeline, pid_fold=(0, 2)))

val_evaluator = [
    dict(type='ReIDMetric', protocols=['market1501', 'nd'], metric='euclidean'),
    dict(type='ReIDMetric', protocols=['market1501', 'nd'], metric='cosine', prefix='cosine'),
]
test_evaluator = val_evaluator
