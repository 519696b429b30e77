"""Documentation that stays true: links, the README's example, the commands' options, the model index."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.tool_runs import run_tool

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CHANGELOG.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').rglob('*.md')),
         *sorted((ROOT / 'configs').rglob('README.md'))]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', page.read_text(encoding='utf-8')):
        if not target.startswith(('http://', 'https://')):
            assert (page.parent / target).exists(), f'{page} links to {target}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page):
    """Paths such as tools/train.py and configs/ptl/x.py that a page names are there."""
    named = re.findall(r'(?<![\w/.])((?:tools|configs|tests|mmreid|requirements)/[\w/.-]+\.(?:py|sh|txt|yml))',
                       page.read_text(encoding='utf-8'))
    for name in named:
        assert (ROOT / name).exists() or (ROOT / name.removeprefix('mmreid/')).exists(), name


def readme_example() -> list:
    """Name and text of the two files of the README's example."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    section = text.split('## Extend it with one component')[1].split('\n## ')[0]
    blocks = re.findall(r'```python\n(.*?)```', section, flags=re.S)
    names = re.findall(r'as `(\w+\.py)`', section)
    assert len(blocks) == len(names) == 2
    return list(zip(names, blocks))


def test_readme_example_is_complete_and_trains(tmp_path):
    example = readme_example()
    assert sum(len(text.strip().splitlines()) for _, text in example) <= 20
    for folder in ('configs', 'tools'):
        (tmp_path / folder).symlink_to(ROOT / folder, target_is_directory=True)
    for name, text in example:
        (tmp_path / name).write_text(text)
    small = ['train_dataloader.dataset.num_train_pids=8', 'train_dataloader.dataset.num_images=1',
             'val_dataloader.dataset.num_test_pids=3', 'val_dataloader.dataset.num_distractors=2',
             'val_dataloader.dataset.num_junk=1', 'train_cfg.max_epochs=1']
    command = [sys.executable, 'tools/train.py', example[1][0], '--cfg-options', *small]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'Before and after training' in done.stdout and 'market1501/mAP' in done.stdout
    assert list(tmp_path.glob('work_dirs/**/epoch_1.pth'))


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_options_in_the_guide_are_those_of_the_tool(tool):
    guide = (ROOT / 'docs/en/user_guides/train_test.md').read_text(encoding='utf-8')
    usage = re.search(rf'^python tools/{tool}\.py .*$', guide, flags=re.M).group()
    shown = set(re.findall(r'--[\w-]+', usage))
    printed = run_tool(tool, '--help')
    offered = set(re.findall(r'--[\w-]+', printed.stdout)) - {'--help'}
    assert shown == offered


@pytest.mark.parametrize('tool, page', [
    ('analysis_tools/eval_features', 'evaluation'), ('analysis_tools/average_results', 'evaluation'),
    ('analysis_tools/get_flops', 'train_test'), ('misc/check_dataset', 'datasets'),
    ('visualization/browse_dataset', 'datasets'), ('visualization/plot_rounds', 'unsupervised_adaptation'),
    ('analysis_tools/choose_clusters', 'unsupervised_adaptation'), ('train_splits', 'deep_transfer'),
    ('visualization/feature_maps', 'deep_transfer'), ('analysis_tools/verification_scores', 'deep_transfer'),
    ('analysis_tools/cost_report', 'train_test'), ('analysis_tools/plot_pla', 'progressive_learning')])
def test_every_option_is_in_a_guide(tool, page):
    guide = (ROOT / f'docs/en/user_guides/{page}.md').read_text(encoding='utf-8')
    printed = run_tool(tool, '--help')
    offered = set(re.findall(r'--[a-z][\w-]+', printed.stdout)) - {'--help', '--cfg-options'}
    assert offered and not {option for option in offered if option not in guide and f'--no-{option[2:]}' not in guide}


def test_model_index_names_files_that_exist():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    listed = set()
    for name in index['Import']:
        meta = yaml.safe_load((ROOT / name).read_text())
        collections = {collection['Name'] for collection in meta['Collections']}
        for collection in meta['Collections']:
            assert (ROOT / collection['README']).is_file()
        for model in meta['Models']:
            assert model['In Collection'] in collections
            listed.add(model['Config'])
    configs = {str(path.relative_to(ROOT)) for path in (ROOT / 'configs').glob('[!_]*/*.py')}
    assert listed == configs
