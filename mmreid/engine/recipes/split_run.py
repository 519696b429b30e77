"""Running a recipe over splits, and the mean of what comes out."""

import json
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from mmreid.evaluation.tables import text_table
from mmreid.utils.checkpoint import write_text

from .errors import RecipeError
from .processes import on_first
from .recipe import Recipe
from .running import RecipeRun
from .splits import options_of_copies, over_splits, published_splits, recipe_and_options, require_splits
from .stage_config import stage_configs
from .state import RecipeState

#: Deviations over the trials of one split; those over splits are another matter.
_OF_TRIALS = '-std'


class SplitsRun:
    """A config or a recipe over the random splits of its data set, checked and ready.

    One recipe is run, in which the stages that depend on the split stand once for each (see
    :func:`mmreid.engine.recipes.splits.over_splits`); what they share, such as the training on a large data set, is
    trained once. So it is checked as a whole before the first training, and ``resume`` skips what is finished and goes
    on inside the split that was interrupted.

    Args:
        path (str or Path): Config of a training, or a recipe.
        splits (Sequence[int], optional): Which splits. Defaults to None: all of the data set.
        work_dir (str or Path, optional): Folder, with a folder for each stage of each split. Defaults to
            ``work_dirs/recipes/<name>_splits``.
        resume (bool): Go on with what is in the folder. Defaults to False.
        options (Mapping[str, Any], optional): See :class:`RecipeRun`; those of a stage go to all its splits. With a
            config, ``load_from`` and ``load_parts`` say what every split starts from.
        amp (bool): Train in mixed precision. Defaults to False.
        launcher (str): How processes were started. Defaults to ``'none'``.

    Raises:
        RecipeError: If anything is wrong; all of it is listed.
    """

    #: Name of the file with the means, in the folder.
    FILE = 'splits.json'

    def __init__(self, path: Union[str, Path], splits: Optional[Sequence[int]] = None,
                 work_dir: Union[str, Path, None] = None, resume: bool = False,
                 options: Optional[Mapping[str, Any]] = None, amp: bool = False, launcher: str = 'none') -> None:
        recipe, options = recipe_and_options(path, options)
        configs, _ = stage_configs(recipe)  # only to see the data: what is wrong is told by the recipe below
        self.splits = list(published_splits(recipe, configs) if splits is None else splits)
        expanded, self.copies = over_splits(recipe, configs, self.splits)
        options = options_of_copies(options, self.copies)
        require_splits(recipe, configs, stage_configs(expanded, options)[0], self.copies)
        self._folder = Path(work_dir or Path('work_dirs') / 'recipes' / expanded.name)
        if resume:
            self._require_begun_splits(expanded)
        self.recipe_run = RecipeRun(expanded, self._folder, resume, options, amp, launcher)

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self._folder

    @property
    def plan(self) -> str:
        """What :meth:`run` is going to do, as text."""
        return self.recipe_run.plan

    @property
    def results(self) -> str:
        """Tables with every split and the mean, of each stage that depends on the split."""
        tables = [_table(name, self.splits, scores) for name, scores in self.means().items()]
        lacking = [f'{name}: no mean of {metric}, which is missing in split {", ".join(map(str, splits))}'
                   for name, found in self.lacking().items() for metric, splits in found.items()]
        return '\n\n'.join([*tables, *lacking])

    def run(self) -> Dict[str, Dict[str, Dict[str, Any]]]:
        """Run what is not finished, write :attr:`FILE` and return :meth:`means`.

        Raises:
            CheckpointError: On every process, if a file cannot be read or written.
        """
        self.recipe_run.run()
        means = self.means()
        content = dict(file=str(self.recipe_run.recipe.path), splits=self.splits, stages=means)
        on_first(lambda: write_text(json.dumps(content, indent=1) + '\n', self.folder / self.FILE))
        return means

    def means(self) -> Dict[str, Dict[str, Dict[str, Any]]]:
        """``{stage: {metric: dict(mean, std, values)}}``, in percent; the deviation is that of the population.

        Metrics that not every split has are left out (:meth:`lacking`), as is the deviation over the trials inside a
        split.
        """
        return {name: {key: _mean([metrics[key] for metrics in of_splits.values()])
                       for key in next(iter(of_splits.values()))
                       if not key.endswith(_OF_TRIALS) and all(key in metrics for metrics in of_splits.values())}
                for name, of_splits in self._metrics().items()}

    def lacking(self) -> Dict[str, Dict[str, List[int]]]:
        """``{stage: {metric: splits that lack it}}`` of metrics that some splits have and others have not."""
        found: Dict[str, Dict[str, List[int]]] = {}
        for name, of_splits in self._metrics().items():
            for key in dict.fromkeys(key for metrics in of_splits.values() for key in metrics):
                without = [split for split, metrics in of_splits.items() if key not in metrics]
                if without and not key.endswith(_OF_TRIALS):
                    found.setdefault(name, {})[key] = without
        return found

    def _metrics(self) -> Dict[str, Dict[int, Dict[str, float]]]:
        entries = self.recipe_run.state.stages
        return {name: {split: entries[copies[split]]['metrics'] for split in self.splits}
                for name, copies in self.copies.items()}

    def _require_begun_splits(self, recipe: Recipe) -> None:
        """Refuse to go on without splits that were begun."""
        begun = RecipeState.open(self._folder, recipe, resume=True).stages
        left_out = sorted(int(number) for name in begun for stage, _, number in [name.rpartition('_split')]
                          if stage in self.copies and number.isdigit() and name not in recipe.stages)
        if left_out:
            numbers = ' '.join(map(str, sorted({*left_out, *self.splits})))
            raise RecipeError(f'{recipe.path} cannot go on in {self._folder}', [
                f'split {", ".join(map(str, dict.fromkeys(left_out)))} was begun there and is not among --splits, '
                f'which may be extended, not cut: --splits {numbers}, or another --work-dir for fewer'])


def _mean(values: List[float]) -> Dict[str, Any]:
    return dict(mean=fmean(values), std=pstdev(values), values=values)


def _table(name: str, splits: Sequence[int], scores: Mapping[str, Mapping[str, Any]]) -> str:
    title = f'{name}: mean ± standard deviation (of the population) over {len(splits)} split(s), in %'
    rows = [[f'split {split}', *(f'{score["values"][place]:.2f}' for score in scores.values())]
            for place, split in enumerate(splits)]
    mean = ['mean', *(f'{score["mean"]:.2f} ± {score["std"]:.2f}' for score in scores.values())]
    return f'{title}\n{text_table(["", *scores], [*rows, mean])}'
