# Training sets of DukeMTMC-reID, CUHK03, VIPeR and WARD with labels, every batch from one; tested on Market-1501.
_base_ = './embae_duke2market.py'

train_dataloader = dict(
    sampler=dict(type='SingleDatasetPKSampler'),
    dataset=dict(
        _delete_=True,
        type='MergedReIDDataset',
        datasets=[
            dict(type='DukeMTMCreID', data_root='data/DukeMTMC-reID'),
            dict(type='CUHK03', data_root='data/cuhk03_release'),
            dict(type='VIPeR', data_root='data/VIPeR'),
            dict(type='WARD', data_root='data/WARD'),
        ],
        pipeline={{_base_.train_pipeline}}))
