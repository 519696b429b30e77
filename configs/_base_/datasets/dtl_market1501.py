# Market-1501 as in DTL: 224x224, 32 identities x 2 images a batch, each image moved at random within 5 % of its sides,
# not mirrored, and tested by the Euclidean distance (section 3.2). The paper makes 5 such images of each beforehand
# "similar to" Ahmed et al. (2015), who move within 5 %; here a position is drawn anew each time, so that there are more
# than five. What moves in is the ImageNet mean (BGR).
_base_ = './market1501.py'

mean = (103.53, 116.28, 123.675)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(224, 224)),
    dict(type='mmpretrain.Translate', magnitude_range=(0, 0.05), magnitude_std='inf', prob=1.0, pad_val=mean,
         interpolation='bilinear'),
    dict(type='mmpretrain.Translate', magnitude_range=(0, 0.05), magnitude_std='inf', prob=1.0, pad_val=mean,
         interpolation='bilinear', direction='vertical'),
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
