"""Which step of a method a training is, said in its checkpoints and asked of the one it starts from."""

from typing import Any, Dict, Optional, Sequence, Tuple, Union

from mmengine.hooks import Hook

from mmreid.registry import HOOKS
from mmreid.utils.checkpoint import CheckpointError

#: Where the name of the step is in ``meta`` of a checkpoint.
META_KEY = 'training_step'


@HOOKS.register_module()
class TrainingStepHook(Hook):
    """Name the step of a method that a training is, and refuse to start it from the file of a wrong one.

    The weights of one step often fit the network of another, so that nothing else would tell: a fine-tuning that goes
    on from another fine-tuning, an autoencoder on an embedding that was never trained. Each checkpoint says in its
    ``meta`` of which step it is; a training reads that of the file it starts from (``load_from``, ``init_from`` of a
    recipe) and of one it resumes. A file that does not say (published weights, a training without this hook) is
    accepted with a warning: whether its weights fit is seen when they are loaded. Testing looks at nothing of this.

    Args:
        step (str): Name of this step.
        starts_from (str | Sequence[str], optional): Steps whose files it may start from; there must be such a file.
            Defaults to None: it starts from anything, or from nothing.
        method (str): Whose steps these are, for messages. Defaults to ``''``.

    Raises:
        ValueError: If a name is empty, or (when training starts) there is no file to start from.
        CheckpointError: If the file is of another step.

    Note:
        Priority ``HIGH``. Nothing of it changes what is trained.

    Example:
        >>> custom_hooks = [
        ...     dict(type='TrainingStepHook', method='EmbAE', step='autoencoder', starts_from='embedding')]
    """

    priority = 'HIGH'

    def __init__(self, step: str, starts_from: Union[str, Sequence[str], None] = None, method: str = '') -> None:
        self.step, self.method = step, method
        self.starts_from: Optional[Tuple[str, ...]] = None
        if starts_from is not None:
            self.starts_from = (starts_from, ) if isinstance(starts_from, str) else tuple(starts_from)
        if not step or self.starts_from == () or '' in (self.starts_from or ()):
            raise ValueError(f'TrainingStepHook needs the name of its step, and starts_from names steps or is None; '
                             f'got step={step!r}, starts_from={starts_from!r}')

    def before_train(self, runner) -> None:
        """Refuse to begin with the weights of no step where one is needed."""
        if self.starts_from is not None and not runner._has_loaded:
            raise ValueError(f'{self._this} starts from a checkpoint of {self._needed}, and none is given: set '
                             'load_from=FILE (in a recipe: init_from of the stage)')

    def before_save_checkpoint(self, runner, checkpoint: Dict[str, Any]) -> None:
        """Write the name of the step into the checkpoint."""
        checkpoint['meta'][META_KEY] = self.step

    def after_load_checkpoint(self, runner, checkpoint: Dict[str, Any]) -> None:
        """Compare the step of a file, before its weights are taken over, with those that may be.

        Raises:
            CheckpointError: If it is of another step.
        """
        if not getattr(runner, '_training_begun', False):
            return
        found = checkpoint.get('meta', {}).get(META_KEY)
        resumes = getattr(runner, 'is_resuming', False)
        if found is None:
            if self.starts_from is not None:
                runner.logger.warning(f'The checkpoint does not say of which step{self._of} it is; {self._this} is '
                                      f'for one of {self._needed}.')
        elif resumes and found != self.step:
            raise CheckpointError(f'the checkpoint is of the step "{found}"{self._of}, and what is resumed is '
                                  f'{self._this}. Resume with the config it was trained with'
                                  + ('.' if self.starts_from and found not in self.starts_from else
                                     ', or start this step from its weights with --cfg-options load_from=FILE.'))
        elif not resumes and self.starts_from is not None and found not in self.starts_from:
            raise CheckpointError(f'{runner._load_from} is of the step "{found}"{self._of}, and {self._this} starts '
                                  f'from a checkpoint of {self._needed}: give such a file as load_from (in a recipe: '
                                  'as init_from of the stage).')

    @property
    def _of(self) -> str:
        return f' of {self.method}' if self.method else ''

    @property
    def _this(self) -> str:
        return f'the step "{self.step}"{self._of}'

    @property
    def _needed(self) -> str:
        return 'the step ' + ' or '.join(f'"{name}"' for name in self.starts_from or ())
