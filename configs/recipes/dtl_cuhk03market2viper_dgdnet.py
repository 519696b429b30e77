"""DTL to VIPeR with DGDNet, from scratch on CUHK03 and Market-1501 (DTL, Table 8)."""

# The verification subnet goes along: it stays as it is while the new classifiers are trained (DTL, section 4.1).
_carry = ('backbone', 'neck', 'heads.ver')

stages = dict(
    large=dict(config='../dtl/dgdnet_cuhk03market.py'),
    viper=dict(config='../dtl/dgdnet_viper.py', init_from='large', carry=_carry))
