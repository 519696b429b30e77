#!/usr/bin/env python
"""Run a recipe, several trainings in a chain: ``python tools/train_recipe.py RECIPE``."""

import argparse

from mmreid.engine.recipes import RecipeRun
from mmreid.engine.recipes.command_line import add_run_arguments, carry_out
from mmreid.visualization import draw_finished_rounds


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Run the stages of a recipe, each from what earlier ones have learnt.')
    parser.add_argument('recipe', help='recipe file, for example configs/recipes/duke2market2msmt17_ptl.py')
    add_run_arguments(
        parser,
        work_dir='folder of the recipe, with a folder for each stage (default: work_dirs/recipes/<recipe name>)',
        resume='skip the stages that are finished and go on inside the one that was interrupted',
        options='change config entries of every stage, or of one with STAGE.KEY=VALUE')
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    carry_out(args, lambda: RecipeRun(args.recipe, args.work_dir, args.resume, args.cfg_options, args.amp,
                                      args.launcher),
              lambda run: f'{run.folder / "recipe.md"}, {run.folder / run.state.FILE}',
              finish=lambda run: draw_finished_rounds(run.folder, stages=True))


if __name__ == '__main__':
    main()
