"""DTL's adversarial comparison (gradient reversal), CUHK03 and Market-1501 to PRID 2011 without labels."""

# Everything is carried, also the classifiers: the people with labels are the same.
stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    prid2011=dict(config='../dtl/googlenet_cuhk03market2prid2011_adversarial.py', init_from='large', carry=None))
