"""DTL's autoencoder comparison, CUHK03 and Market-1501 to VIPeR without labels (DTL, Table 9)."""

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    autoencoder=dict(config='../dtl/googlenet_cuhk03market_autoencoder.py', init_from='large', carry=('backbone', )),
    viper=dict(config='../dtl/googlenet_cuhk03market2viper_autoencoder.py', init_from='autoencoder',
               carry=('backbone', 'neck', 'heads.ae')))
