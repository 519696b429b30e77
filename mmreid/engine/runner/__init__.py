"""The runner, its training loops and the state that a checkpoint carries."""

from .loops import EpochTrainLoop, IterTrainLoop
from .optim_wrapper import ReIDAmpOptimWrapper
from .progressive_loop import ProgressiveLearningLoop
from .reid_runner import ReIDRunner

__all__ = ['EpochTrainLoop', 'IterTrainLoop', 'ProgressiveLearningLoop', 'ReIDAmpOptimWrapper', 'ReIDRunner']
