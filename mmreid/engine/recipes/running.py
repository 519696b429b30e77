"""Running a recipe, stage after stage."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from mmreid.utils.checkpoint import write_text

from .checking import RecipeChecker
from .errors import RecipeError
from .recipe import Stage, read_recipe
from .report import plan_text, report_text, results_table
from .stage_config import definition, stage_configs, tied
from .state import RecipeState, sha256, versions
from .training import StageTraining


class RecipeRun:
    """A recipe in a folder, checked and ready.

    Making one examines everything that can be known to be wrong: references, configs, data, networks, and on a
    resumed recipe what is finished. Nothing is written before :meth:`run`.

    Args:
        path (str or Path): File of the recipe.
        work_dir (str or Path, optional): Folder of the recipe. Defaults to ``work_dirs/recipes/<name>``.
        resume (bool): Go on with what is in the folder. Defaults to False.
        options (Mapping[str, Any], optional): Values by dotted key for every stage, or, behind the name of a stage
            (``student.model.lambda_l1``), for that one.
        amp (bool): Train in mixed precision. Defaults to False.
        launcher (str): How processes were started. Defaults to ``'none'``.

    Raises:
        RecipeError: If anything is wrong; all of it is listed.
    """

    def __init__(self, path: Union[str, Path], work_dir: Union[str, Path, None] = None, resume: bool = False,
                 options: Optional[Mapping[str, Any]] = None, amp: bool = False, launcher: str = 'none') -> None:
        self.recipe, problems = read_recipe(path)
        self.folder = Path(work_dir or Path('work_dirs') / 'recipes' / self.recipe.name)
        self.launcher = launcher
        self.configs, more = stage_configs(self.recipe, options, amp)
        self.state = RecipeState.open(self.folder, self.recipe, resume)
        self.definitions = {name: definition(self.recipe.stages[name], cfg) for name, cfg in self.configs.items()}
        problems += more + self.state.problems(self.recipe, self.definitions)
        checker = RecipeChecker(self.recipe, self.configs, self.state.finished)
        problems += checker.run()
        self.data_lines = checker.data_lines
        if problems:
            raise RecipeError(f'Recipe {path} is refused before its first stage', list(dict.fromkeys(problems)))

    @property
    def plan(self) -> str:
        """What :meth:`run` is going to do, as text."""
        return plan_text(self.recipe, self.state, self.data_lines)

    @property
    def results(self) -> str:
        """What the stages have reached, as a table."""
        return results_table(self.state)

    def run(self) -> Dict[str, Any]:
        """Run every stage that is not finished, and return what ``recipe.json`` then holds."""
        for name, texts in self.state.changed_while_running(self.definitions).items():
            print_log(f'Stage "{name}" goes on with a changed config: {"; ".join(texts)}', logger='current')
        for stage in self.recipe:
            if self.state.is_finished(stage.name):
                print_log(f'Stage "{stage.name}" is finished: {self.state.checkpoint(stage.name)}', logger='current')
            else:
                self._run_stage(stage)
        if is_main_process():
            write_text(report_text(self.state), self.folder / 'recipe.md')
        return self.state.content

    def _run_stage(self, stage: Stage) -> None:
        begun = time.monotonic()
        entry = self._new_entry(stage)
        with StageTraining(self._tied_config(stage), stage.checkpoint) as training:
            # Only now: building a runner brings all processes together, so each has read the old file.
            self._put(stage.name, entry)
            training.run()
            entry = self._finished_entry(entry, training, time.monotonic() - begun)
            self._put(stage.name, entry)

    def _new_entry(self, stage: Stage) -> Dict[str, Any]:
        known = self.state.stages.get(stage.name, {})
        return dict(
            status='running',
            config=f'{stage.config.parent.name}/{stage.config.name}',
            init_from=self._source(stage.init_from),
            carry=list(stage.carry) if stage.init_from and stage.carry else None,
            teacher_from=self._source(stage.teacher_from),
            sessions=known.get('sessions', 0) + 1,
            versions=versions(),
            definition=self.definitions[stage.name])

    def _finished_entry(self, entry: Dict[str, Any], training: StageTraining, seconds: float) -> Dict[str, Any]:
        """The entry with the results; the first process makes it, because the file was written there."""
        found: List[Any] = [None, None]
        if is_main_process():
            try:
                path = training.checkpoint
                found[0] = dict(
                    entry, status='finished', metrics=training.metrics, epochs=training.epochs,
                    iterations=training.iterations, seconds=round(seconds, 1),
                    checkpoint=dict(path=str(self._relative(path)), sha256=sha256(path)))
            except OSError as error:
                found[1] = str(error)
        broadcast_object_list(found)
        if found[1] is not None:
            raise OSError(found[1])
        return found[0]

    def _put(self, name: str, entry: Dict[str, Any]) -> None:
        self.state.stages[name] = entry
        if is_main_process():
            self.state.write()
            write_text(report_text(self.state), self.folder / 'recipe.md')

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

    def _source(self, reference: Optional[str]) -> Optional[Dict[str, Any]]:
        if reference in self.recipe.stages:
            return dict(stage=reference, **self.state.stages[reference]['checkpoint'])
        return None if reference is None else dict(stage=None, path=reference, sha256=sha256(reference))

    def _relative(self, path: Path) -> Path:
        path, folder = Path(path).resolve(), self.folder.resolve()
        return path.relative_to(folder) if path.is_relative_to(folder) else path


def run_recipe(path: Union[str, Path], **options: Any) -> Dict[str, Any]:
    """Check and run a recipe; see :class:`RecipeRun` for the arguments.

    Returns:
        dict: What ``recipe.json`` holds when all stages are finished.
    """
    return RecipeRun(path, **options).run()
