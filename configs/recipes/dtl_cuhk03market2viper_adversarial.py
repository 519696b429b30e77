"""DTL's adversarial comparison (gradient reversal), CUHK03 and Market-1501 to VIPeR without labels (DTL, Table 9)."""

# Everything is carried, also the classifiers: the people with labels are the same.
stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    viper=dict(config='../dtl/googlenet_cuhk03market2viper_adversarial.py', init_from='large', carry=None))
