"""EmbAE, fix: drawn pedestrians and cameras 1-3 to cameras 4-6, all three steps after one on drawn people alone."""

# The recipe says where weights come from, not the configs.
_tied = dict(load_from=None, load_parts=None)

stages = dict(
    drawn=dict(config='../baseline/ide_mobilenet_synthetic.py'),
    embedding=dict(
        config='../embae/mobilenet_syntheticcams123_embedding.py', init_from='drawn', carry=('backbone', ),
        overrides=_tied),
    autoencoder=dict(
        config='../embae/mobilenet_syntheticcams123_autoencoder.py', init_from='embedding', overrides=_tied),
    target=dict(
        config='../embae/mobilenet_syntheticcams123_2cams456_fix.py', init_from='autoencoder',
        carry=('backbone', 'neck', 'heads.ae'), overrides=_tied))
