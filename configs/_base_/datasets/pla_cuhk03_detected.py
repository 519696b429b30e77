# CUHK03, boxes of the detector, 767 training and 700 test identities, prepared for PLA.
_base_ = './pla_market1501.py'
dataset_type = 'CUHK03'
data_root = 'data/cuhk03_release'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, protocol='new', box='detected'))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, protocol='new', box='detected'))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['cuhk03-np'])
_evaluator = dict(type='ReIDMetric', protocols=['cuhk03-np'], metric='euclidean')
test_evaluator = [
    dict(**_evaluator, post_processors=[{{_base_._pca}}]),
    dict(**_evaluator, post_processors=[{{_base_._pca}}, {{_base_._rerank}}], prefix='reranked'),
]
