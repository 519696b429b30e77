# Domain 'a' as a source for other domains: 400 people, each twice in every camera; light, contrast and colours are
# jittered, so that the network learns to look past the light of a camera.
_base_ = './synthetic.py'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpretrain.ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3),
    dict(type='PackReIDInputs'),
]
train_dataloader = dict(dataset=dict(num_train_pids=400, num_images=2, pipeline=train_pipeline))
