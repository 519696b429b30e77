# Drawn pedestrians and cameras 1-3 of Market-1501 with labels, every batch from one of them; tested on cameras 4-6.
_base_ = './embae_cams123.py'

train_dataloader = dict(
    sampler=dict(type='SingleDatasetPKSampler'),
    dataset=dict(
        _delete_=True,
        type='MergedReIDDataset',
        datasets=[
            dict(type='SyntheticReID', domain='a', num_train_pids=400, num_images=2),
            dict(type='Market1501', data_root='data/Market-1501-v15.09.15', pid_fold=(0, 2), keep_camids=[1, 2, 3],
                 cache=True),
        ],
        pipeline={{_base_.train_pipeline}}))
