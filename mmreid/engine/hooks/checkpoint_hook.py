"""When to write checkpoints, and in which order old ones go."""

from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional

from mmengine.dist import is_main_process, master_only
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook

from mmreid.registry import HOOKS
from mmreid.utils.checkpoint import (
    checkpoint_step,
    read_checkpoint,
    remove_stale_temporaries,
    resumable_checkpoints,
    write_checkpoint,
    write_text,
)


class _DeferredRemoval:
    """A file back end that notes what is to be removed instead of removing it."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.removed: List[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.removed.append(str(path))


def set_aside(files: Iterable[Path], time: str) -> None:
    """Rename files of an earlier training, so that nothing takes them for those of the present one."""
    for path in files:
        path.rename(path.with_name(f'{path.name}.before_{time}'))


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """Checkpoint hook after which there is always a good file.

    Takes the arguments of mmengine's ``CheckpointHook`` (``interval``, ``by_epoch``, ``max_keep_ckpts``, ``save_best``,
    ...). mmengine deletes the old file, then writes the new one in place; here the new one is written, verified and
    renamed, then the ``last_checkpoint`` pointer moves, then the old one is deleted. With ``by_epoch=False`` under
    epoch-based training, checkpoints fall inside epochs and training resumes there.

    Priority: ``VERY_LOW``, after every hook that changes the state.
    """

    priority = 'VERY_LOW'

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if self.filename_tmpl not in ('epoch_{}.pth', 'iter_{}.pth'):
            raise ValueError(f'filename_tmpl must be "epoch_{{}}.pth" or "iter_{{}}.pth", by which --resume finds the '
                             f'files, got "{self.filename_tmpl}"')
        self._configured_dir = self.out_dir

    def before_train(self, runner) -> None:
        """Prepare the folder, set aside what is of another training, and recall what is kept."""
        base = Path(runner.work_dir)
        self.out_dir = str(Path(self._configured_dir) / base.name if self._configured_dir else base)
        self.file_backend = LocalBackend()
        runner.logger.info(f'Checkpoints will be saved to {self.out_dir}')
        if is_main_process():
            Path(self.out_dir).mkdir(parents=True, exist_ok=True)
            for path in remove_stale_temporaries(self.out_dir):
                runner.logger.warning(f'Removed {path}, left by an interrupted process.')
            self._set_aside(runner)
        known = runner.message_hub.runtime_info
        if self.save_best:
            if len(self.key_indicators) == 1:
                self.best_ckpt_path = self._own(known.get('best_ckpt'))
            else:
                self.best_ckpt_path_dict = {key: self._own(known.get(f'best_ckpt_{key}'))
                                            for key in self.key_indicators}
        self.keep_ckpt_ids = deque(known.get('keep_ckpt_ids', []))

    def _own(self, path: Optional[str]) -> Optional[str]:
        """The path if it lies in this training's folder; what another training wrote is not ours to delete."""
        return path if path and Path(path).parent == Path(self.out_dir) else None

    def _set_aside(self, runner) -> None:
        """Rename checkpoints beyond the present position: they are of another training in the same folder.

        Otherwise a later ``--resume`` would take the highest number for the newest file and go on with that training.
        """
        beyond = [path for path in resumable_checkpoints(self.out_dir)
                  if checkpoint_step(path) > (runner.epoch if path.name.startswith('epoch') else runner.iter)]
        if runner.iter == 0:
            beyond += Path(self.out_dir).glob('best_*.pth')
        set_aside(beyond, runner.timestamp)
        if beyond:
            runner.logger.warning(
                f'{len(beyond)} checkpoints of an earlier training were in {self.out_dir}, beyond the point where this '
                f'one starts. They are kept with the ending .before_{runner.timestamp}; delete them if you do not need '
                'them.')

    def _save_checkpoint_with_step(self, runner, step: int, meta: Dict[str, Any]) -> None:
        with self._removal_after_writing(str(Path(self.out_dir) / self.filename_tmpl.format(step))):
            self._write_step(runner, step, meta)

    def _write_step(self, runner, step: int, meta: Dict[str, Any]) -> None:
        if self.max_keep_ckpts > 0 and (not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step):
            self.keep_ckpt_ids.append(step)
            while len(self.keep_ckpt_ids) > self.max_keep_ckpts:
                oldest = Path(self.out_dir) / self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
                if is_main_process() and oldest.exists():
                    self.file_backend.remove(oldest)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = str(Path(self.out_dir) / name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, name, save_optimizer=self.save_optimizer, save_param_scheduler=self.save_param_scheduler,
            meta=meta, by_epoch=self.by_epoch)
        if is_main_process():
            write_text(self.last_ckpt, Path(runner.work_dir) / 'last_checkpoint')

    def _save_best_checkpoint(self, runner, metrics: Dict[str, Any]) -> None:
        if not self.save_best or not hasattr(self, 'file_backend'):  # nothing to keep, or validation without training
            return
        missing = [key for key in self.key_indicators if key != 'auto' and key not in metrics]
        if missing:
            runner.logger.warning(f'save_best asks for {", ".join(missing)}, which was not evaluated; there are '
                                  f'{", ".join(metrics)}. No best checkpoint is kept.')
            return
        with self._removal_after_writing():
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removal_after_writing(self, written: Optional[str] = None) -> Iterator[None]:
        """Carry out the removals of the block when it has succeeded; leave everything if it raises."""
        if isinstance(self.file_backend, _DeferredRemoval):
            yield
            return
        backend, self.file_backend = self.file_backend, _DeferredRemoval(self.file_backend)
        try:
            yield
            removed = self.file_backend.removed
        finally:
            self.file_backend = backend
        kept = {written, self.last_ckpt, getattr(self, 'best_ckpt_path', None)}
        kept.update(getattr(self, 'best_ckpt_path_dict', {}).values())
        for path in removed:
            if path not in kept and self._own(path):
                Path(path).unlink(missing_ok=True)

    @master_only
    def _publish_model(self, runner, ckpt_path: str) -> None:
        checkpoint = read_checkpoint(ckpt_path)
        published = Path(ckpt_path).with_name(f'{Path(ckpt_path).stem}_published.pth')
        write_checkpoint({key: checkpoint[key] for key in self.published_keys if key in checkpoint}, published)
        runner.logger.info(f'Published {", ".join(self.published_keys)} of {ckpt_path} as {published}')
