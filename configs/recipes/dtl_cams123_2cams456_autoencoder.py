"""DTL's autoencoder comparison small: ResNet-18 on drawn pedestrians (in place of ImageNet), on cameras 1-3 of
Market-1501, an autoencoder there, then on cameras 4-6."""

# The recipe says where weights come from, not the configs.
_tied = dict(load_from=None, load_parts=None)

stages = dict(
    drawn=dict(config='../baseline/ide_resnet18_synthetic.py'),
    source=dict(config='../baseline/ide_resnet18_cams123.py', init_from='drawn', carry=('backbone', ),
                overrides=_tied),
    autoencoder=dict(config='../dtl/resnet18_cams123_autoencoder.py', init_from='source', carry=('backbone', ),
                     overrides=_tied),
    target=dict(config='../dtl/resnet18_cams123_2cams456_autoencoder.py', init_from='autoencoder',
                carry=('backbone', 'neck', 'heads.ae'), overrides=_tied))
