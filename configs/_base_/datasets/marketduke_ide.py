# Training sets of Market-1501 and DukeMTMC-reID as one, prepared as PUL does; tested on CUHK03.
_base_ = './cuhk03_ide.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MergedReIDDataset',
        datasets=[
            dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
            dict(type='DukeMTMCreID', data_root='data/DukeMTMC-reID'),
        ],
        pipeline={{_base_.train_pipeline}}))
