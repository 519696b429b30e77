"""A recipe small enough for a test: a network of domain a, one of domain b from it, and a student of that."""

from pathlib import Path

from tests.test_engine.toy import CONFIG

FILES = {
    'toy_a.py': CONFIG.replace('WORKERS', '0'),
    'toy_b.py': "_base_ = './toy_a.py'\ntrain_dataloader = dict(dataset=dict(domain='b', num_train_pids=7))\n",
    'toy_std.py': ("_base_ = './toy_b.py'\nmodel = dict(type='DistillationNet', teacher=dict(checkpoint=None), "
                   'lambda_l1=0.8)\n'),
}
STAGES = """stages = dict(
    student=dict(config='toy_std.py', init_from='first', teacher_from='second'),
    first=dict(config='toy_a.py'),
    second=dict(config='toy_b.py', init_from='first'))
"""


def write_recipe(folder: Path, stages: str = STAGES, name: str = 'toy_recipe.py') -> Path:
    """Write the toy configs and a recipe of them; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in FILES.items():
        (folder / file).write_text(text)
    (folder / name).write_text(stages)
    return folder / name
