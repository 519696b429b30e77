# Training sets of Market-1501 and CUHK03 as one, prepared as PUL does; tested on DukeMTMC-reID.
_base_ = './dukemtmc_ide.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MergedReIDDataset',
        datasets=[
            dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
            dict(type='CUHK03', data_root='data/cuhk03_release', protocol='new', box='detected'),
        ],
        pipeline={{_base_.train_pipeline}}))
