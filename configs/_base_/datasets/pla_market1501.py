# Market-1501 as PLA trains on it (section 4.2): enlarged to 288x144 (height x width), 256x128 of it cut out at random,
# flipped, parts erased; 16 identities x 8 images a batch. Tested on features reduced to 512 numbers, under reranked/
# re-ranked, too.
_base_ = './market1501.py'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(144, 288)),  # (width, height), 1.125 times those of the test
    dict(type='mmpretrain.RandomCrop', crop_size=(256, 128)),  # (height, width)
    dict(type='RandomFlip', prob=0.5),
    # filled with the ImageNet mean, which is zero after normalisation (BGR)
    dict(type='mmpretrain.RandomErasing', erase_prob=0.5, max_area_ratio=0.4, fill_color=(103.53, 116.28, 123.675)),
    dict(type='PackReIDInputs'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    sampler=dict(_delete_=True, type='PKSampler', num_pids=16, num_instances=8),
    dataset=dict(pipeline=train_pipeline))

val_evaluator = dict(metric='euclidean')
_pca = dict(type='PCA', num_components=512)
_rerank = dict(type='KReciprocalReRanking')
_plain = dict(type='ReIDMetric', protocols=['market1501'], metric='euclidean', post_processors=[_pca])
_reranked = dict(
    type='ReIDMetric', protocols=['market1501'], metric='euclidean', post_processors=[_pca, _rerank], prefix='reranked')
test_evaluator = [_plain, _reranked]
