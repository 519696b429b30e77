"""Synthetic pedestrians, then Market-1501, with ResNet-18 at 128x64 on a CPU: does the drawn data help?"""

stages = dict(
    synthetic=dict(config='../baseline/resnet18_synthetic.py'),
    market=dict(config='../baseline/resnet18_market.py', init_from='synthetic'))
