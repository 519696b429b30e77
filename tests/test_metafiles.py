"""Results in metafiles: complete, marked as published or measured, and the published ones are the paper's."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
METAFILES = sorted((ROOT / 'configs').glob('*/metafile.yml'))
#: mAP and CMC-1 of Tables 1 to 6 of Progressive Transfer Learning, as printed there.
PAPER = {
    'baseline/resnet50_msmt17': (28.63, 59.77), 'ptl/resnet50_msmt17': (32.58, 62.76),
    'baseline/densenet161_msmt17': (38.60, 70.80), 'ptl/densenet161_msmt17': (42.25, 72.65),
    'std/densenet161_msmt17': (41.38, 73.12), 'baseline/densenet161_market_b90': (69.90, 88.30),
    'baseline/densenet161_market': (76.40, 91.70), 'ptl/densenet161_market': (77.50, 92.50),
    'std/densenet161_market': (77.50, 92.20), 'ptl/mgn_resnet50_market': (87.34, 94.83),
    'ptl/mgn_resnet50_cuhk03_detected': (74.22, 76.14), 'ptl/mgn_resnet50_cuhk03_labeled': (77.31, 79.79),
    'ptl/mgn_resnet50_duke': (79.16, 89.36), 'mgn/resnet50_market': (85.80, 94.60),
    'mgn/resnet50_cuhk03_detected': (69.41, 71.64), 'mgn/resnet50_cuhk03_labeled': (72.96, 74.07),
    'mgn/resnet50_duke': (77.07, 87.70), 'recipes/marketduke2msmt17_baseline': (41.12, 72.49),
    'recipes/marketduke2msmt17_ptl_std': (42.53, 74.11), 'recipes/market2duke2msmt17_baseline': (41.22, 72.78),
    'recipes/market2duke2msmt17_ptl_std': (42.34, 73.60), 'recipes/duke2market2msmt17_baseline': (41.80, 73.00),
    'recipes/duke2market2msmt17_ptl_std': (42.73, 74.31), 'recipes/duke2market_ptl': (76.00, 91.30),
    'recipes/duke2market_ptl_std': (75.50, 91.10), 'recipes/duke2msmt17_2market_ptl': (77.90, 91.60),
    'recipes/duke2msmt17_2market_ptl_std': (77.40, 91.60), 'recipes/market2msmt17_baseline': (38.60, 70.80),
    'recipes/market2msmt17_ptl': (42.45, 72.48), 'recipes/market2msmt17_ptl_std': (42.51, 73.37)}

#: mAP and rank-1 of Tables II and IV of Unsupervised Person Re-identification: Clustering and Fine-tuning.
PUL = {
    'baseline/ide_resnet50_duke': (42.6, 63.4), 'baseline/ide_resnet50_market': (53.1, 76.2),
    'baseline/ide_resnet50_cuhk03': (23.2, 24.8), 'pul/resnet50_duke2market': (20.1, 44.7),
    'pul/resnet50_duke2cuhk03': (5.2, 5.6), 'pul/resnet50_market2duke': (16.4, 30.4),
    'pul/resnet50_market2cuhk03': (7.3, 7.6), 'pul/resnet50_cuhk03_2duke': (12.0, 23.0),
    'pul/resnet50_cuhk03_2market': (18.0, 41.9), 'pul/resnet50_dukecuhk03_2market': (20.5, 45.5),
    'pul/resnet50_dukecuhk03_2market_25ids': (22.2, 47.7), 'pul/resnet50_dukecuhk03_2market_50ids': (24.8, 50.9),
    'pul/resnet50_marketcuhk03_2duke': (16.4, 30.0), 'pul/resnet50_marketcuhk03_2duke_25ids': (18.8, 32.7),
    'pul/resnet50_marketcuhk03_2duke_50ids': (21.5, 36.5), 'pul/resnet50_marketduke2cuhk03': (7.9, 8.1),
    'pul/resnet50_marketduke2cuhk03_25ids': (8.8, 8.9), 'pul/resnet50_marketduke2cuhk03_50ids': (9.2, 9.1)}


def results():
    for path in METAFILES:
        for model in yaml.safe_load(path.read_text(encoding='utf-8'))['Models']:
            yield from ((model['Config'].removeprefix('configs/').removesuffix('.py'), result)
                        for result in model['Results'])


def test_results_say_where_they_come_from():
    for name, result in results():
        assert {'Dataset', 'Metrics', 'Published', 'Source'} <= set(result), name
        assert isinstance(result['Published'], bool) and result['Dataset'], name
        # DTL prints no mAP for CUHK03 and the small data sets.
        needed = {'rank-1'} if result['Source'].startswith('DTL') else {'mAP', 'rank-1'}
        assert needed <= set(result['Metrics']), name
        assert all(0 < value <= 100 for value in result['Metrics'].values()), name
        assert not result['Published'] or re.match(
            r'(PTL|PUL|DTL|EmbAE|PLA), (Tables? [\dIV]|section \d)|\w+ et al., \d{4}', result['Source']), name


def test_published_results_are_those_of_the_paper():
    for paper, expected in (('PTL', PAPER), ('PUL', PUL)):
        published = {name: (result['Metrics']['mAP'], result['Metrics']['rank-1']) for name, result in results()
                     if result['Published'] and result['Source'].startswith(paper)}
        assert published == expected
    table = (ROOT / 'configs/pul/README.md').read_text(encoding='utf-8')
    for name, scores in PUL.items():
        if name.startswith('pul/'):
            assert f'| `{name[4:]}.py` | {scores[0]} | {scores[1]} |' in table


@pytest.mark.parametrize('name', sorted(PAPER))
def test_published_results_are_in_the_table_of_the_readme(name):
    table = (ROOT / 'configs/ptl/README.md').read_text(encoding='utf-8')
    file = f'configs/{name}.py'
    if name.startswith('std/'):  # teacher and student together are a recipe
        file = f'configs/recipes/{name.split("_")[1]}_ptl_std.py'
    row = next(line for line in table.splitlines() if line.startswith('|') and f' {file}`' in line)
    assert row.rstrip(' |').split(' | ')[-2:] == [f'{value:.2f}' for value in PAPER[name]]


@pytest.mark.parametrize('value, scores', [('0.3', (41.26, 72.52)), ('0.5', (42.27, 73.49)), ('1.0', (41.66, 72.32))])
def test_the_sweep_of_table_6_is_in_the_readme(value, scores):
    table = (ROOT / 'configs/ptl/README.md').read_text(encoding='utf-8')
    row, = (line for line in table.splitlines() if line.startswith(f'| | {value} |'))
    assert row.rstrip(' |').split(' | ')[-2:] == [f'{score:.2f}' for score in scores]
