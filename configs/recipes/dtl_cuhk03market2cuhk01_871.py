"""DTL, ImageNet to CUHK03 and Market-1501 to CUHK01, 871 training identities (DTL, Table 3)."""

_base_ = './dtl_cuhk03market2cuhk01.py'

stages = dict(cuhk01=dict(config='../dtl/googlenet_cuhk01_871.py'))
