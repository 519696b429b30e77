"""Recipes: trainings one after another, each from the weights, or under the eyes, of an earlier one."""

from .errors import RecipeError
from .recipe import Recipe, Stage, load_recipe
from .running import RecipeRun, run_recipe

__all__ = ['Recipe', 'RecipeError', 'RecipeRun', 'Stage', 'load_recipe', 'run_recipe']
