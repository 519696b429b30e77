# DukeMTMC-reID (withdrawn by its authors in 2019) with labels, 18 identities x 4 images a batch, at 256x128 (height x
# width); tested on Market-1501: z_id divided by its length, and under raw/ as it is.
_base_ = './market1501.py'

train_dataloader = dict(
    batch_size=72,
    sampler=dict(_delete_=True, type='PKSampler', num_pids=18, num_instances=4),
    dataset=dict(type='DukeMTMCreID', data_root='data/DukeMTMC-reID'))

val_evaluator = [
    dict(type='ReIDMetric', protocols=['market1501', 'nd'], metric='cosine'),
    dict(type='ReIDMetric', protocols=['market1501', 'nd'], metric='euclidean', prefix='raw'),
]
test_evaluator = val_evaluator
