"""DTL's autoencoder comparison, CUHK03 and Market-1501 to CUHK01 without labels."""

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    autoencoder=dict(config='../dtl/googlenet_cuhk03market_autoencoder.py', init_from='large', carry=('backbone', )),
    cuhk01=dict(config='../dtl/googlenet_cuhk03market2cuhk01_autoencoder.py', init_from='autoencoder',
                carry=('backbone', 'neck', 'heads.ae')))
