# Training sets of Market-1501 and DukeMTMC-reID as one, at 256x128 (height x width); tested on Market-1501.
_base_ = './market1501.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MergedReIDDataset',
        datasets=[
            dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
            dict(type='DukeMTMCreID', data_root='data/DukeMTMC-reID'),
        ],
        pipeline={{_base_.train_pipeline}}))
