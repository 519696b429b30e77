"""Recipes that run: what is carried, what is reported, and what a kill -9 leaves."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from mmreid.engine.recipes import RecipeError, RecipeRun, run_recipe
from mmreid.engine.recipes.state import sha256
from mmreid.engine.recipes.training import StageTraining
from mmreid.utils.checkpoint import read_checkpoint
from tests.test_engine.recipe_files import write_recipe
from tests.test_engine.test_tools import run as run_in_processes
from tests.test_engine.toy import toy_runner
from tests.test_utils.test_checkpoint import same
from tests.tool_runs import run_tool

ROOT = Path(__file__).parents[2]
#: Checkpoints at every step, and enough of them for a process to be caught in the second stage.
SLOW = {'second.train_cfg.max_epochs': 16, 'second.train_cfg.val_interval': 100,
        'second.model.heads.id.hidden_channels': (2048, ), 'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 1, 'default_hooks.checkpoint.max_keep_ckpts': 2}
SHORT = {'train_cfg.max_epochs': 1}
TWO = "stages = dict(first=dict(config='toy_a.py'), second=dict(config='toy_b.py', init_from='first'))\n"


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """Folder of a recipe that has been run."""
    folder = tmp_path_factory.mktemp('finished')
    run_recipe(write_recipe(folder), work_dir=folder / 'work')
    return folder


def state(folder: Path) -> dict:
    return json.loads((folder / 'recipe.json').read_text())


def interrupt(work_dir: Path, name: str) -> None:
    """Make the state that of a process which was killed after the last checkpoint of a stage, before the result."""
    content = state(work_dir)
    for later in list(content['stages'])[list(content['stages']).index(name) + 1:]:
        del content['stages'][later]
    for key in ('checkpoint', 'metrics', 'epochs', 'iterations', 'seconds'):
        del content['stages'][name][key]
    content['stages'][name]['status'] = 'running'
    (work_dir / 'recipe.json').write_text(json.dumps(content))


def measured(folder: Path, checkpoint: Path, identities: int) -> float:
    """The mAP of a file on the test images."""
    runner = toy_runner(folder, load_from=str(checkpoint), train_dataloader=None, train_cfg=None, optim_wrapper=None,
                        param_scheduler=None, model__heads__id__num_classes=identities)
    return runner.test()['market1501/mAP']


# ---- what comes out -------------------------------------------------------------------------------------------------


def test_report_tells_metrics_and_lineage(finished):
    stages = state(finished / 'work')['stages']
    assert list(stages) == ['first', 'second', 'student']
    for name, entry in stages.items():
        path = finished / 'work' / entry['checkpoint']['path']
        assert path == finished / 'work' / name / 'epoch_2.pth' and entry['checkpoint']['sha256'] == sha256(path)
        assert entry['status'] == 'finished' and entry['epochs'] == 2 and entry['starts'] == 1
        assert 0 < entry['metrics']['market1501/mAP'] <= 100 and entry['seconds'] > 0
        assert set(entry['versions']) == {'mmreid', 'mmengine', 'torch'}
    assert stages['first']['init_from'] is None
    assert stages['second']['init_from'] == dict(stage='first', **stages['first']['checkpoint'])
    assert stages['student']['teacher_from'] == dict(stage='second', **stages['second']['checkpoint'])
    assert stages['student']['carry'] == ['backbone', 'neck']
    text = (finished / 'work' / 'recipe.md').read_text()
    assert text.count('| 2 epochs ') == 3
    assert f'{stages["second"]["metrics"]["market1501/mAP"]:.2f}' in text
    assert f'taught by second (`second/epoch_2.pth`, sha256 {stages["second"]["checkpoint"]["sha256"][:12]})' in text


def test_metrics_are_those_of_the_checkpoint(finished):
    """Evaluated again by a runner of its own."""
    entry = state(finished / 'work')['stages']['student']
    assert measured(finished / 'again', finished / 'work' / entry['checkpoint']['path'], 7) == pytest.approx(
        entry['metrics']['market1501/mAP'])


def test_nothing_is_left_behind_in_the_process(tmp_path):
    managers = (MMLogger, MessageHub, DefaultScope, Visualizer)
    before = [set(manager._instance_dict) for manager in managers]
    workers = {'train_dataloader.num_workers': 1, 'train_dataloader.persistent_workers': True}
    run_recipe(write_recipe(tmp_path, TWO), work_dir=tmp_path / 'work', options={**SHORT, **workers})
    assert [{name for name in manager._instance_dict if 'toy_recipe' in name} for manager in managers] == [set()] * 4
    assert all(left <= set(manager._instance_dict) for left, manager in zip(before, managers))
    assert not multiprocessing.active_children()


def test_backbone_and_neck_are_carried_and_the_heads_start_new(tmp_path):
    """A learning rate of zero keeps in every parameter what a stage started with."""
    options = {**SHORT, 'second.optim_wrapper.optimizer.lr': 0.0, 'log_level': 'INFO'}
    content = run_recipe(write_recipe(tmp_path, TWO), work_dir=tmp_path / 'work', options=options)
    log = next((tmp_path / 'work' / 'second').glob('*/*.log')).read_text()
    assert 'load_parts: took backbone' in log and 'not taken: heads' in log
    first, second = (read_checkpoint(tmp_path / 'work' / content['stages'][name]['checkpoint']['path'])['state_dict']
                     for name in ('first', 'second'))
    for key, value in second.items():
        if key.startswith(('backbone.', 'neck.')) and 'running' not in key and 'num_batches' not in key:
            assert torch.equal(value, first[key]), key
    heads = [key for key, value in second.items() if key.startswith('heads.') and value.dim() == 2]
    assert heads and not any(first[key].shape == second[key].shape and torch.equal(first[key], second[key])
                             for key in heads)
    assert second['heads.id.classifier.weight'].shape[0] == 7 and first['heads.id.classifier.weight'].shape[0] == 6


BEST = """stages = dict(
    first=dict(config='toy_a.py', checkpoint='best', overrides={
        'default_hooks.checkpoint.save_best': 'market1501/mAP', 'default_hooks.checkpoint.rule': 'greater',
        'train_cfg.max_epochs': 4, 'custom_hooks': HOOKS, 'randomness.seed': SEED}),
    second=dict(config='toy_b.py', init_from='first'))
"""


@pytest.mark.parametrize('hooks', [[], [dict(type='EMAHook', momentum=0.5)]])
def test_best_checkpoint_is_handed_on_with_its_metrics(tmp_path, hooks):
    """Those of the best weights, which are not those of the end, measured by a runner of its own."""
    for seed in range(6):
        work_dir = tmp_path / f'work{seed}'
        recipe = write_recipe(tmp_path, BEST.replace('HOOKS', str(hooks)).replace('SEED', str(seed)))
        content = run_recipe(recipe, work_dir=work_dir)
        scores = [json.loads(line) for path in sorted((work_dir / 'first').glob('*/vis_data/scalars.json'))
                  for line in path.read_text().splitlines() if 'market1501/mAP' in line]
        trained = [score['market1501/mAP'] for score in scores][:4]
        if max(trained) > trained[-1]:  # otherwise the run tells nothing; that depends on the version of torch
            break
    else:
        pytest.fail('the best epoch is the last one with every seed')
    first = content['stages']['first']
    best, = (work_dir / 'first').glob('best_*.pth')
    assert first['checkpoint']['path'] == f'first/{best.name}'
    assert first['metrics']['market1501/mAP'] == pytest.approx(max(trained))
    assert measured(tmp_path / 'again', best, 6) == pytest.approx(max(trained))
    assert content['stages']['second']['init_from']['sha256'] == sha256(best)


def test_best_checkpoint_of_a_resumed_stage_in_a_moved_folder(tmp_path):
    """The training has noted the path that its best file had."""
    recipe = write_recipe(tmp_path, BEST.replace('HOOKS', '[]').replace('SEED', '0'))
    before = run_recipe(recipe, work_dir=tmp_path / 'work')['stages']['first']
    shutil.move(tmp_path / 'work', tmp_path / 'moved')
    interrupt(tmp_path / 'moved', 'first')
    after = run_recipe(recipe, work_dir=tmp_path / 'moved', resume=True)['stages']['first']
    assert after['checkpoint'] == before['checkpoint'] and after['metrics'] == before['metrics']
    assert after['starts'] == 2


def test_first_of_several_best_checkpoints_is_handed_on(tmp_path):
    path = write_recipe(tmp_path, BEST.replace('HOOKS', '[]').replace('SEED', '0').replace(
        "'market1501/mAP'", "['market1501/rank-5', 'market1501/mAP']").replace("'train_cfg.max_epochs': 4",
                                                                                "'train_cfg.max_epochs': 1"))
    content = run_recipe(path, work_dir=tmp_path / 'work', options=SHORT)
    assert content['stages']['first']['checkpoint']['path'] == 'first/best_market1501_rank-5_epoch_1.pth'
    log = ''.join(path.read_text() for path in (tmp_path / 'work' / 'first').glob('*/*.log'))
    assert 'hands on best_market1501_rank-5_epoch_1.pth' in log and 'not best_market1501_mAP_epoch_1.pth' in log


STOPPED = {'default_hooks.checkpoint.interval': 5, 'train_cfg.max_epochs': 4, 'custom_hooks': [
    dict(type='EarlyStoppingHook', monitor='market1501/mAP', rule='greater', stopping_threshold=0.0)]}


def test_training_that_is_stopped_early_hands_on_what_it_reached(tmp_path):
    """After the first of four epochs, between two intervals of the checkpoints. Lost results are measured."""
    recipe = write_recipe(tmp_path, "stages = dict(first=dict(config='toy_a.py'))")
    before = run_recipe(recipe, work_dir=tmp_path / 'work', options=STOPPED)['stages']['first']
    assert (before['epochs'], before['checkpoint']['path']) == (1, 'first/epoch_1.pth')
    content = state(tmp_path / 'work')
    content['stages']['first'].update(status='trained', metrics=None)
    (tmp_path / 'work' / 'recipe.json').write_text(json.dumps(content))
    run = RecipeRun(recipe, work_dir=tmp_path / 'work', options=STOPPED, resume=True)
    assert 'first: ' in run.plan and '(trained, to be evaluated)' in run.plan
    assert run.run()['stages']['first'] == before
    assert [path.name for path in (tmp_path / 'work' / 'first').glob('*.pth')] == ['epoch_1.pth']


def test_files_as_source_and_teacher(tmp_path, finished):
    files = {name: str(finished / 'work' / name / 'epoch_2.pth') for name in ('first', 'second')}
    stages = f"""stages = dict(student=dict(
    config='toy_std.py', init_from='{files["first"]}', teacher_from='{files["second"]}'))
"""
    content = run_recipe(write_recipe(tmp_path, stages), work_dir=tmp_path / 'work')
    entry = content['stages']['student']
    assert entry['init_from'] == dict(stage=None, path=files['first'], sha256=sha256(files['first']))
    assert entry['teacher_from'] == dict(stage=None, path=files['second'], sha256=sha256(files['second']))
    left, right = (read_checkpoint(folder / 'work' / 'student' / 'epoch_2.pth')['state_dict']
                   for folder in (tmp_path, finished))
    assert same(left, right)  # the same stage as with stages for files


# ---- going on -------------------------------------------------------------------------------------------------------

PROGRAM = textwrap.dedent('''
    import sys
    import torch
    from mmreid.engine.recipes import run_recipe
    from tests import shortcuts
    from tests.test_engine.test_recipe_runs import SLOW
    torch.set_num_threads(1)  # as in conftest.py: sums depend on the number of threads
    shortcuts.install()
    run_recipe(sys.argv[1], work_dir=sys.argv[2], options=SLOW)
''')


def kill_in_second_stage(recipe: Path, work_dir: Path) -> None:
    """Run the recipe in a process of its own and kill it inside the second stage."""
    process = subprocess.Popen([sys.executable, '-c', PROGRAM, str(recipe), str(work_dir)], cwd=ROOT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not list((work_dir / 'second').glob('iter_[3-9].pth')):
        assert process.poll() is None, f'the recipe ended by itself ({process.returncode})'
        assert time.monotonic() < deadline, 'the second stage was not reached'
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_killed_in_the_second_stage_and_resumed(tmp_path):
    recipe = write_recipe(tmp_path)
    kill_in_second_stage(recipe, tmp_path / 'killed')
    begun = state(tmp_path / 'killed')['stages']
    assert [(name, entry['status']) for name, entry in begun.items()] == [('first', 'finished'), ('second', 'running')]
    before = os.stat(tmp_path / 'killed' / begun['first']['checkpoint']['path']).st_mtime_ns
    with pytest.raises(RecipeError, match='Go on with --resume, or give another --work-dir'):
        run_recipe(recipe, work_dir=tmp_path / 'killed', options=SLOW)
    resumed = run_recipe(recipe, work_dir=tmp_path / 'killed', options=SLOW, resume=True)
    whole = run_recipe(recipe, work_dir=tmp_path / 'whole', options=SLOW)
    assert os.stat(tmp_path / 'killed' / begun['first']['checkpoint']['path']).st_mtime_ns == before
    assert [entry['starts'] for entry in resumed['stages'].values()] == [1, 2, 1]
    for name in ('first', 'second', 'student'):
        left, right = (read_checkpoint(tmp_path / folder / content['stages'][name]['checkpoint']['path'])
                       for folder, content in (('killed', resumed), ('whole', whole)))
        for part in ('state_dict', 'optimizer', 'param_schedulers', 'train_state'):
            assert same(left[part], right[part]), (name, part)
        assert resumed['stages'][name]['metrics'] == whole['stages'][name]['metrics']


def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished recipe, configs included."""
    shutil.copytree(finished, tmp_path / 'copy')
    return tmp_path / 'copy'


def test_lost_results_of_a_stage_are_found_again(finished, tmp_path):
    """Killed after the last checkpoint: nothing is left to train, only the result is missing."""
    folder = copied(finished, tmp_path)
    before = state(folder / 'work')['stages']['second']['metrics']
    interrupt(folder / 'work', 'second')
    digest = sha256(folder / 'work' / 'second' / 'epoch_2.pth')
    resumed = run_recipe(folder / 'toy_recipe.py', work_dir=folder / 'work', resume=True)
    assert resumed['stages']['second']['metrics'] == before
    assert sha256(folder / 'work' / 'second' / 'epoch_2.pth') == digest


def test_interrupted_stage_goes_on_with_another_config_and_says_so(finished, tmp_path):
    folder = copied(finished, tmp_path)
    interrupt(folder / 'work', 'second')
    content = run_recipe(folder / 'toy_recipe.py', work_dir=folder / 'work', resume=True,
                         options={'second.train_cfg.max_epochs': 3, 'second.train_dataloader.num_workers': 1})
    entry = content['stages']['second']
    what = ['train_dataloader.num_workers was 0, is now 1', 'train_cfg.max_epochs was 2, is now 3']
    assert entry['changes'] == [dict(start=2, what=what)] and entry['epochs'] == 3
    assert content['stages']['first']['changes'] == content['stages']['student']['changes'] == []
    log = ''.join(path.read_text() for path in (folder / 'work' / 'second').glob('*/*.log'))
    assert f'Stage "second" goes on with another config: {"; ".join(what)}' in log
    assert 'went on with another config at start 2: train_dataloader' in (folder / 'work' / 'recipe.md').read_text()


def test_interrupted_stage_keeps_its_sources(finished, tmp_path):
    """It has read them; others of the same name are not what it was built from."""
    files = [finished / 'work' / name for name in ('first/epoch_2.pth', 'first/epoch_1.pth')]
    source = tmp_path / 'source.pth'
    shutil.copy(files[0], source)
    stages = f"stages = dict(second=dict(config='toy_b.py', init_from='{source}', carry=('backbone', )))"
    recipe = write_recipe(tmp_path, stages)
    run_recipe(recipe, work_dir=tmp_path / 'work', options=SHORT)
    interrupt(tmp_path / 'work', 'second')
    resumed = dict(work_dir=tmp_path / 'work', options=SHORT, resume=True)

    write_recipe(tmp_path, stages.replace("('backbone', )", "('neck', )"))
    with pytest.raises(RecipeError, match=r"carry was \['backbone'\], is now \['neck'\]"):
        RecipeRun(recipe, **resumed)
    write_recipe(tmp_path, "stages = dict(second=dict(config='toy_b.py'))")
    with pytest.raises(RecipeError, match=f'init_from was {source} .*, is now None'):
        RecipeRun(recipe, **resumed)
    write_recipe(tmp_path, stages)
    shutil.copy(files[1], source)
    with pytest.raises(RecipeError, match='to begin this stage anew, delete its folder') as caught:
        RecipeRun(recipe, **resumed)
    assert all(sha256(file)[:12] in str(caught.value) for file in files)

    shutil.rmtree(tmp_path / 'work' / 'second')
    entry = run_recipe(recipe, **resumed)['stages']['second']
    assert entry['init_from']['sha256'] == sha256(files[1]) and entry['epochs'] == 1


def test_checkpoints_of_an_earlier_recipe_are_not_taken_for_those_of_this_one(tmp_path, monkeypatch):
    """Killed between the entry of a stage and its first step, in a folder that has the files of another run."""
    recipe = write_recipe(tmp_path, "stages = dict(first=dict(config='toy_a.py'))")
    old = run_recipe(recipe, work_dir=tmp_path / 'work', options=SHORT)['stages']['first']
    (tmp_path / 'work' / 'recipe.json').rename(tmp_path / 'elsewhere.json')
    changed = {**SHORT, 'optim_wrapper.optimizer.lr': 0.01}
    with monkeypatch.context() as patch:
        patch.setattr(StageTraining, 'run', lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_recipe(recipe, work_dir=tmp_path / 'work', options=changed)
    assert state(tmp_path / 'work')['stages']['first']['status'] == 'running'
    new = run_recipe(recipe, work_dir=tmp_path / 'work', options=changed, resume=True)['stages']['first']
    alone = run_recipe(recipe, work_dir=tmp_path / 'alone', options=changed)['stages']['first']
    assert new['metrics'] == alone['metrics'] and new['checkpoint']['sha256'] != old['checkpoint']['sha256']
    kept, = (tmp_path / 'work' / 'first').glob('epoch_1.pth.before_*')
    assert sha256(kept) == old['checkpoint']['sha256']


def test_finished_stages_do_not_mind_what_cannot_change_them(finished, tmp_path):
    folder = copied(finished, tmp_path)
    options = {'train_dataloader.num_workers': 1, 'log_level': 'INFO', 'val_dataloader.batch_size': 4}
    run = RecipeRun(folder / 'toy_recipe.py', work_dir=folder / 'work', resume=True, options=options)
    assert run.run() == state(finished / 'work')


def test_finished_recipe_does_nothing_more(finished, tmp_path):
    folder = copied(finished, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob('*.pth')}
    content = run_recipe(folder / 'toy_recipe.py', work_dir=folder / 'work', resume=True)
    assert content == state(finished / 'work')
    assert {path: path.stat().st_mtime_ns for path in folder.rglob('*.pth')} == before


@pytest.mark.parametrize('options, expected', [
    ({'optim_wrapper.optimizer.lr': 0.1}, 'optim_wrapper.optimizer.lr was 0.05, is now 0.1'),
    ({'second.randomness.seed': 7}, 'Stage "second" is finished, and its definition has changed since'),
])
def test_changed_recipe_is_refused_with_what_changed(finished, tmp_path, options, expected):
    folder = copied(finished, tmp_path)
    with pytest.raises(RecipeError) as caught:
        run_recipe(folder / 'toy_recipe.py', work_dir=folder / 'work', resume=True, options=options)
    assert expected in str(caught.value)
    assert state(folder / 'work') == state(finished / 'work')


def test_other_source_for_a_finished_stage_is_refused(finished, tmp_path):
    folder = copied(finished, tmp_path)
    recipe = folder / 'toy_recipe.py'
    recipe.write_text(recipe.read_text().replace("second=dict(config='toy_b.py', init_from='first')",
                                                 "second=dict(config='toy_b.py')"))
    with pytest.raises(RecipeError, match="init_from was 'first', is now None"):
        run_recipe(recipe, work_dir=folder / 'work', resume=True)
    recipe.write_text("stages = dict(first=dict(config='toy_a.py'))")
    with pytest.raises(RecipeError, match='Stage "student" was begun and is no longer in the recipe'):
        run_recipe(recipe, work_dir=folder / 'work', resume=True)


def test_checkpoint_that_is_missing_or_another_is_refused(finished, tmp_path):
    folder = copied(finished, tmp_path)
    (folder / 'work' / 'first' / 'epoch_2.pth').unlink()
    shutil.copy(folder / 'work' / 'second' / 'epoch_1.pth', folder / 'work' / 'second' / 'epoch_2.pth')
    with pytest.raises(RecipeError) as caught:
        RecipeRun(folder / 'toy_recipe.py', work_dir=folder / 'work', resume=True)
    assert 'its checkpoint ' in str(caught.value) and 'first/epoch_2.pth is missing' in str(caught.value)
    assert 'second/epoch_2.pth is not the file that it wrote' in str(caught.value)


def test_finished_stages_need_no_data(finished, tmp_path):
    """Only what is still to be run is examined."""
    folder = copied(finished, tmp_path)
    content = state(folder / 'work')
    del content['stages']['student']
    gone = {'type': 'Market1501', 'data_root': str(tmp_path / 'gone'), 'split': 'train', 'pipeline': []}
    content['stages']['first']['definition']['config']['train_dataloader']['dataset'] = gone
    (folder / 'work' / 'recipe.json').write_text(json.dumps(content))
    run = RecipeRun(write_recipe(folder, (folder / 'toy_recipe.py').read_text().replace(
        "first=dict(config='toy_a.py')",
        f"first=dict(config='toy_a.py', overrides={{'train_dataloader.dataset': dict(_delete_=True, **{gone})}})")),
        work_dir=folder / 'work', resume=True)
    assert '1. first' in run.plan and run.plan.count('(finished, skipped)') == 2


def test_damaged_state_is_refused(tmp_path):
    recipe = write_recipe(tmp_path)
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work' / 'recipe.json').write_text('{"layout": 1')
    with pytest.raises(RecipeError, match='cannot be read .*Move it away'):
        RecipeRun(recipe, work_dir=tmp_path / 'work', resume=True)


# ---- command line ---------------------------------------------------------------------------------------------------


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path):
    done = run_in_processes('train_recipe', write_recipe(tmp_path), '--work-dir', tmp_path / 'work', '--dry-run',
                            processes=1)
    assert done.returncode == 0, done.stderr
    assert '3. student: ' in done.stdout and 'taught by second' in done.stdout
    assert not (tmp_path / 'work').exists()


def test_mistakes_end_without_a_traceback(tmp_path):
    recipe = write_recipe(tmp_path, "stages = dict(a=dict(config='toy_a.py', init_from='b'))")
    done = run_tool('train_recipe', recipe, cwd=ROOT)
    assert done.returncode != 0 and 'Traceback' not in done.stderr
    assert 'init_from="b" is neither a stage nor a file' in done.stderr


def two_processes(recipe: Path, work_dir: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--master_port=0', '--standalone',
               str(ROOT / 'tools' / 'train_recipe.py'), str(recipe), '--work-dir', str(work_dir), '--launcher',
               'pytorch', *options, '--cfg-options', 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=4']
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=280)


def test_two_processes_that_cannot_write_end_together(tmp_path):
    """None of them waits for the other; a folder in the place of the file stands for a full disk."""
    recipe = write_recipe(tmp_path, "stages = dict(first=dict(config='toy_a.py'))")
    (tmp_path / 'work' / 'recipe.json').mkdir(parents=True)
    done = two_processes(recipe, tmp_path / 'work')
    assert done.returncode != 0
    assert done.stderr.count('CheckpointError: The state of the recipe could not be written into') == 2


def test_two_processes(tmp_path):
    """Every process walks through the stages; the first one writes. Resumed, they go on where it was lost."""
    recipe, work_dir = write_recipe(tmp_path), tmp_path / 'work'
    done = two_processes(recipe, work_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    before = state(work_dir)['stages']['student']
    interrupt(work_dir, 'student')
    done = two_processes(recipe, work_dir, '--resume')
    assert done.returncode == 0, done.stderr[-3000:]
    after = state(work_dir)['stages']['student']
    assert after['starts'] == 2 and after['checkpoint'] == before['checkpoint']
    assert after['metrics'] == before['metrics']
    assert done.stdout.count('| student') == 1  # one process prints the table
    stages = state(work_dir)['stages']
    assert [entry['status'] for entry in stages.values()] == ['finished'] * 3
    for entry in stages.values():
        path = work_dir / entry['checkpoint']['path']
        assert sha256(path) == entry['checkpoint']['sha256']
        assert len(read_checkpoint(path)['train_state']['ranks']) == 2


def test_options_are_in_the_guide():
    guide = (ROOT / 'docs/en/user_guides/transfer_recipes.md').read_text(encoding='utf-8')
    printed = run_tool('train_recipe', '--help').stdout
    options = {word.strip('[],') for word in printed.split() if word.strip('[],').startswith('--')} - {'--help'}
    assert len(options) >= 6 and not {option for option in options if option not in guide}
