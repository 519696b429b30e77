# ResNet-18 as it is, and an autoencoder on its feature (DTL, section 5.6). The paper's has 1024-512-1024; on the 512
# numbers of ResNet-18 a code of 512 would be no bottleneck, so it is half as long here, too.
_base_ = './ide_resnet18.py'

model = dict(
    neck=dict(_delete_=True, type='AutoencoderNeck', in_channels=512, code_channels=256),
    heads=dict(_delete_=True, ae=dict(type='AutoencoderHead', out_channels=512, code_channels=256)))
