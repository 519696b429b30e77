"""The tools that look at models run and print what they promise."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(monkeypatch, capsys, tool, *args):
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
    return capsys.readouterr().out


@pytest.mark.parametrize('name, neck, stated', [
    ('resnet50_ptl', '8.38', 'ResNet-50+PTL has 35 M'),
    ('resnet50_bnneck_triplet', '0.00', None),
])
def test_get_flops(monkeypatch, capsys, name, neck, stated):
    config = ROOT / 'configs' / '_base_' / 'models' / f'{name}.py'
    out = run(monkeypatch, capsys, 'analysis_tools/get_flops.py', config, '--shape', 64, 32)
    rows = {line.rsplit(maxsplit=2)[0]: line.split()[-2:] for line in out.splitlines() if line[-1:].isdigit()}
    # Mult-Adds of ResNet-50 scale with the area: 4.09 G at 224 x 224.
    if stated:
        assert float(rows['backbone'][1]) == pytest.approx(4.087 * 64 * 32 / 224**2, rel=0.01)
    assert rows['backbone'][0] == '23.51' and rows['neck'][0] == neck
    assert float(rows['in training'][0]) == pytest.approx(
        sum(float(rows[part][0]) for part in rows if part == 'neck' or part == 'backbone' or part.startswith('head')),
        abs=0.02)
    assert (stated in out) if stated else ('Table 1' not in out)
