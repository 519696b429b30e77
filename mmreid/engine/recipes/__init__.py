"""Recipes: trainings one after another, each from the weights, or under the eyes, of an earlier one."""

from .errors import RecipeError
from .recipe import Recipe, Stage, load_recipe
from .running import RecipeRun, run_recipe
from .split_run import SplitsRun

__all__ = ['Recipe', 'RecipeError', 'RecipeRun', 'SplitsRun', 'Stage', 'load_recipe', 'run_recipe']
