# Cameras 1-3 of Market-1501 with labels, 18 identities x 4 images a batch, at 128x64; tested on cameras 4-6, z_id
# divided by its length, and under raw/ as it is.
_base_ = './market1501_cams123.py'

train_dataloader = dict(
    batch_size=72, sampler=dict(_delete_=True, type='PKSampler', num_pids=18, num_instances=4))

val_evaluator = [
    dict(type='ReIDMetric', protocols=['market1501', 'nd'], metric='cosine'),
    dict(type='ReIDMetric', protocols=['market1501', 'nd'], metric='euclidean', prefix='raw'),
]
test_evaluator = val_evaluator
