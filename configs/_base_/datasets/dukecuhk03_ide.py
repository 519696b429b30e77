# Training sets of DukeMTMC-reID and CUHK03 as one, prepared as PUL does; tested on Market-1501.
_base_ = './market1501_ide.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MergedReIDDataset',
        datasets=[
            dict(type='DukeMTMCreID', data_root='data/DukeMTMC-reID'),
            dict(type='CUHK03', data_root='data/cuhk03_release', protocol='new', box='detected'),
        ],
        pipeline={{_base_.train_pipeline}}))
