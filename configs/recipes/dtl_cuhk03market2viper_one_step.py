"""DTL, the large data sets as before, VIPeR in one step (DTL, Table 6)."""

_base_ = './dtl_cuhk03market2viper.py'

stages = dict(viper=dict(config='../dtl/googlenet_viper_one_step.py'))
