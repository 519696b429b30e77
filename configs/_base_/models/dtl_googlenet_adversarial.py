# GoogLeNet with its six losses, and a domain classifier behind gradient reversal on the feature (DTL, section 5.6).
_base_ = './dtl_googlenet.py'

model = dict(backbone=dict(init_cfg=None), heads=dict(domain=dict(type='DomainHead', in_channels=1024)))
