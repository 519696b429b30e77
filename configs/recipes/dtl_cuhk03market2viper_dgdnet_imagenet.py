"""DTL to VIPeR with DGDNet from ImageNet, then CUHK03 and Market-1501 (DTL, Table 8); needs weights of ImageNet."""

_base_ = './dtl_cuhk03market2viper_dgdnet.py'

stages = dict(large=dict(config='../dtl/dgdnet_cuhk03market_imagenet.py'))
