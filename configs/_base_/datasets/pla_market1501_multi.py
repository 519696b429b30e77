# Market-1501 as in pla_market1501.py; the test has more rows: under multi/ several images are a query (the boxes of
# gt_bbox), under multi_reranked/ re-ranked, too.
_base_ = './pla_market1501.py'

test_dataloader = dict(dataset=dict(multi_query=True))

_multi = dict(type='MultiQuery', pool='mean')
_evaluator = dict(type='ReIDMetric', protocols=['market1501'], metric='euclidean')
test_evaluator = [
    {{_base_._plain}},
    {{_base_._reranked}},
    dict(**_evaluator, post_processors=[_multi, {{_base_._pca}}], prefix='multi'),
    dict(**_evaluator, post_processors=[_multi, {{_base_._pca}}, {{_base_._rerank}}], prefix='multi_reranked'),
]
