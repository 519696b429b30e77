"""DTL with GoogLeNet on VIPeR in one step, as many iterations (DTL, Table 6).

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = './googlenet_viper.py'

custom_hooks = []  # no first step
