# Market-1501 at 256x128, 16 identities x 4 images a batch, padded and cropped, parts erased: for the triplet loss.
_base_ = ['./market1501.py']

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(128, 256)),  # (width, height)
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpretrain.RandomCrop', crop_size=(256, 128), padding=10),  # (height, width)
    # filled with the ImageNet mean, which is zero after normalisation (BGR)
    dict(type='mmpretrain.RandomErasing', erase_prob=0.5, max_area_ratio=0.4, fill_color=(103.53, 116.28, 123.675)),
    dict(type='PackReIDInputs'),
]
train_dataloader = dict(
    batch_size=64,
    sampler=dict(_delete_=True, type='PKSampler', num_pids=16, num_instances=4),
    dataset=dict(pipeline=train_pipeline))
