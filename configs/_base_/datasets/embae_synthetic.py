# Domain 'a' of the drawn pedestrians with labels, 18 identities x 4 images a batch: the images of synthetic_ide.py, the
# source of PUL and co-training; tested on domain 'b', z_id divided by its length, and under raw/ as it is.
_base_ = './synthetic_ide.py'
domain = 'b'

train_dataloader = dict(
    batch_size=72, sampler=dict(_delete_=True, type='PKSampler', num_pids=18, num_instances=4))
val_dataloader = dict(dataset=dict(domain=domain))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='ReIDMetric', protocols=['market1501', 'nd'], metric='cosine'),
    dict(type='ReIDMetric', protocols=['market1501', 'nd'], metric='euclidean', prefix='raw'),
]
test_evaluator = val_evaluator
