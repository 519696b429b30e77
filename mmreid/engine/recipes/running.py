"""Running a recipe, stage after stage."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, Optional, Union

from mmengine.config import Config

from mmreid.utils.checkpoint import CheckpointError, resumable_checkpoints, write_text

from ..hooks.checkpoint_hook import set_aside
from .checking import RecipeChecker
from .definition import changes, definition
from .errors import RecipeError
from .evaluation import StageEvaluation
from .processes import announced_world_size, on_first
from .recipe import Recipe, Stage, read_recipe
from .report import plan_text, report_text, results_table
from .stage_config import stage_configs, tied
from .state import RecipeState, sha256, versions
from .training import StageTraining


class RecipeRun:
    """A recipe in a folder, checked and ready.

    Making one examines everything that can be known to be wrong: references, configs, data, networks, and on a
    resumed recipe what is finished. Nothing is written before :meth:`run`.

    Args:
        path (str, Path or Recipe): File of the recipe, or one that was read or made before.
        work_dir (str or Path, optional): Folder of the recipe. Defaults to ``work_dirs/recipes/<name>``.
        resume (bool): Go on with what is in the folder. Defaults to False.
        options (Mapping[str, Any], optional): Values by dotted key for every stage, or, behind the name of a stage
            (``student.model.lambda_l1``), for that one.
        amp (bool): Train in mixed precision. Defaults to False.
        launcher (str): How processes were started. Defaults to ``'none'``.

    Raises:
        RecipeError: If anything is wrong; all of it is listed.
    """

    def __init__(self, path: Union[str, Path, Recipe], work_dir: Union[str, Path, None] = None, resume: bool = False,
                 options: Optional[Mapping[str, Any]] = None, amp: bool = False, launcher: str = 'none') -> None:
        self.recipe, problems = (path, []) if isinstance(path, Recipe) else read_recipe(path)
        self.folder = Path(work_dir or Path('work_dirs') / 'recipes' / self.recipe.name)
        self.launcher = launcher
        self.configs, more = stage_configs(self.recipe, options, amp)
        self.state = RecipeState.open(self.folder, self.recipe, resume)
        self.definitions = {name: definition(self.recipe.stages[name], cfg) for name, cfg in self.configs.items()}
        problems += more + self.state.problems(self.recipe, self.definitions)
        checker = RecipeChecker(self.recipe, self.configs, self.state.finished,
                                world_size=announced_world_size(launcher))
        problems += checker.run()
        self.data_lines = checker.data_lines
        if problems:
            raise RecipeError(f'Recipe {self.recipe.path} is refused before its first stage',
                              list(dict.fromkeys(problems)))

    @property
    def plan(self) -> str:
        """What :meth:`run` is going to do, as text."""
        return plan_text(self.recipe, self.state, self.data_lines)

    @property
    def results(self) -> str:
        """What the stages have reached, as a table."""
        return results_table(self.state)

    def run(self) -> Dict[str, Any]:
        """Run every stage that is not finished, and return what ``recipe.json`` then holds.

        Raises:
            CheckpointError: On every process, if a file cannot be read or written.
        """
        for stage in self.recipe:
            if not self.state.is_trained(stage.name):
                self._train(stage)
            if not self.state.is_finished(stage.name):
                self._evaluate(stage)
        return self.state.content

    def _train(self, stage: Stage) -> None:
        begun = time.monotonic()
        with StageTraining(self._tied_config(stage), stage.checkpoint) as training:
            # Only now: building a runner brings all processes together, so each has read the old file.
            entry = on_first(lambda: self._begin(stage))
            self._put(stage.name, entry)
            for change in entry['changes']:
                if change['start'] == entry['starts']:
                    training.warn(f'Stage "{stage.name}" goes on with another config: {"; ".join(change["what"])}')
            training.run()
            entry = on_first(lambda: self._trained_entry(entry, training, time.monotonic() - begun))
            self._put(stage.name, entry)

    def _evaluate(self, stage: Stage) -> None:
        """Complete the entry of a trained stage with its metrics, where the training did not tell them."""
        entry = self.state.stages[stage.name]
        if entry['metrics'] is None:
            with StageEvaluation(self._tied_config(stage), self.state.checkpoint(stage.name)) as evaluation:
                entry = dict(entry, metrics=evaluation.run())
        self._put(stage.name, dict(entry, status='finished'))

    def _begin(self, stage: Stage) -> Dict[str, Any]:
        """The entry of a stage that begins or goes on; the first process makes it.

        What lies in the folder of a stage that begins is set aside first: once there is an entry, the newest
        checkpoint there is taken for one of this stage.
        """
        known = self.state.stages.get(stage.name, {})
        goes_on = self.state.goes_on(stage.name)
        if not goes_on:
            folder = self.folder / stage.name
            set_aside([*resumable_checkpoints(folder), *folder.glob('best_*.pth'), *folder.glob('last_checkpoint')],
                      time.strftime('%Y%m%d_%H%M%S'))
        sources = ('init_from', 'carry', 'teacher_from')
        start, now = known.get('starts', 0) + 1, self.definitions[stage.name]
        changed = changes(known['definition'], now) if goes_on else []
        earlier = known.get('changes', []) if goes_on else []
        return dict(
            status='running',
            config=f'{stage.config.parent.name}/{stage.config.name}',
            # Read once, when the stage began; they are the same now, or going on was refused.
            **({key: known[key] for key in sources} if goes_on else self._sources(stage)),
            starts=start,
            versions=versions(),
            changes=earlier + ([dict(start=start, what=changed)] if changed else []),
            definition=now)

    def _sources(self, stage: Stage) -> Dict[str, Any]:
        return dict(
            init_from=self.state.source(stage.init_from, self.recipe),
            carry=list(stage.carry) if stage.init_from and stage.carry else None,
            teacher_from=self.state.source(stage.teacher_from, self.recipe))

    def _trained_entry(self, entry: Dict[str, Any], training: StageTraining, seconds: float) -> Dict[str, Any]:
        """The entry with what was reached; the first process makes it, because the file was written there."""
        path = training.checkpoint
        return dict(
            entry, status='trained', metrics=training.metrics, epochs=training.epochs, iterations=training.iterations,
            seconds=round(seconds, 1), checkpoint=dict(path=str(self._relative(path)), sha256=sha256(path)))

    def _put(self, name: str, entry: Dict[str, Any]) -> None:
        self.state.stages[name] = entry
        on_first(self._write)

    def _write(self) -> None:
        try:
            self.state.write()
            write_text(report_text(self.state), self.folder / 'recipe.md')
        except OSError as error:
            raise CheckpointError(f'The state of the recipe could not be written into {self.folder}: {error}. Free '
                                  'some space, and go on with --resume.') from error

    def _tied_config(self, stage: Stage) -> Config:
        teacher = self.configs.get(stage.teacher_from)
        cfg = tied(self.configs[stage.name], stage, self._path_of(stage.init_from), self._path_of(stage.teacher_from),
                   None if teacher is None else teacher.model.to_dict())
        begun = stage.name in self.state.stages
        cfg.work_dir, cfg.launcher = str(self.folder / stage.name), self.launcher
        cfg.experiment_name, cfg.resume = f'{self.recipe.name}_{stage.name}', 'auto' if begun else False
        return cfg

    def _path_of(self, reference: Optional[str]) -> Optional[str]:
        if reference is None:
            return None
        return str(self.state.checkpoint(reference) if reference in self.recipe.stages else reference)

    def _relative(self, path: Path) -> Path:
        path, folder = Path(path).resolve(), self.folder.resolve()
        return path.relative_to(folder) if path.is_relative_to(folder) else path


def run_recipe(path: Union[str, Path], **options: Any) -> Dict[str, Any]:
    """Check and run a recipe; see :class:`RecipeRun` for the arguments.

    Returns:
        dict: What ``recipe.json`` holds when all stages are finished.
    """
    return RecipeRun(path, **options).run()
