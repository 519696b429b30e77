"""DTL's autoencoder comparison small: ResNet-18 on synthetic domain a, an autoencoder there, then on domain b."""

# The recipe says where weights come from, not the configs.
_tied = dict(load_from=None, load_parts=None)

stages = dict(
    source=dict(config='../baseline/ide_resnet18_synthetic.py'),
    autoencoder=dict(config='../dtl/resnet18_synthetic_autoencoder.py', init_from='source', carry=('backbone', ),
                     overrides=_tied),
    target=dict(config='../dtl/resnet18_synthetic_a2b_autoencoder.py', init_from='autoencoder',
                carry=('backbone', 'neck', 'heads.ae'), overrides=_tied))
