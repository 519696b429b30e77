# IDE with ResNet-18, and a domain classifier behind gradient reversal on its feature (DTL, section 5.6).
_base_ = './ide_resnet18.py'

model = dict(heads=dict(domain=dict(type='DomainHead', in_channels=512)))
