"""Schedules of learning rate and momentum that mmengine does not have."""

from .hold import HoldThenDecayLR, HoldThenSwitchMomentum

__all__ = ['HoldThenDecayLR', 'HoldThenSwitchMomentum']
