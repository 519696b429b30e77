# Training sets of CUHK03 and Market-1501 as one, the large data set of DTL's stages; tested on Market-1501. Of CUHK03,
# the training identities of the first classic split in the boxes of the detector, as Market-1501's are; the paper does
# not say.
_base_ = './dtl_market1501.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MergedReIDDataset',
        datasets=[
            dict(type='CUHK03', data_root='data/cuhk03_release', protocol='classic', split_id=0, box='detected'),
            dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
        ],
        pipeline={{_base_.train_pipeline}}))
