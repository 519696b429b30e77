# As dtl_cuhk03market.py at 144x56 (height x width), the input that DGDNet was made for.
_base_ = './dtl_market1501_144x56.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MergedReIDDataset',
        datasets=[
            dict(type='CUHK03', data_root='data/cuhk03_release', protocol='classic', split_id=0, box='detected'),
            dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
        ],
        pipeline={{_base_.train_pipeline}}))
