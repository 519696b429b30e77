# Training sets of CUHK03 and Market-1501, every batch from one of them, 18 identities x 4 images, at 256x128
# (height x width); tested on Market-1501. P, K and the way of switching are those of the EmbAE paper.
_base_ = './market1501.py'

train_dataloader = dict(
    batch_size=72,
    sampler=dict(_delete_=True, type='SingleDatasetPKSampler', num_pids=18, num_instances=4),
    dataset=dict(
        _delete_=True,
        type='MergedReIDDataset',
        datasets=[
            dict(type='CUHK03', data_root='data/cuhk03_release'),
            dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
        ],
        pipeline={{_base_.train_pipeline}}))
