# Moving an image at random within 5 % of its sides, as DTL does (section 5.2): "similar to" Ahmed et al. (2015), who
# make five such images of each beforehand; here a position is drawn anew each time, so that there are more than five.
# What moves in is the ImageNet mean (BGR).
_moved_x = dict(
    type='mmpretrain.Translate', magnitude_range=(0, 0.05), magnitude_std='inf', prob=1.0,
    pad_val=(103.53, 116.28, 123.675), interpolation='bilinear')
_moved_y = dict(
    type='mmpretrain.Translate', magnitude_range=(0, 0.05), magnitude_std='inf', prob=1.0,
    pad_val=(103.53, 116.28, 123.675), interpolation='bilinear', direction='vertical')
