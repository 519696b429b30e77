"""DTL's autoencoder comparison, CUHK03 and Market-1501 to PRID 2011 without labels."""

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    autoencoder=dict(config='../dtl/googlenet_cuhk03market_autoencoder.py', init_from='large', carry=('backbone', )),
    prid2011=dict(config='../dtl/googlenet_cuhk03market2prid2011_autoencoder.py', init_from='autoencoder',
                  carry=('backbone', 'neck', 'heads.ae')))
