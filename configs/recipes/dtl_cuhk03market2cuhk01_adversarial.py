"""DTL's adversarial comparison (gradient reversal), CUHK03 and Market-1501 to CUHK01 without labels."""

# Everything is carried, also the classifiers: the people with labels are the same.
stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    cuhk01=dict(config='../dtl/googlenet_cuhk03market2cuhk01_adversarial.py', init_from='large', carry=None))
