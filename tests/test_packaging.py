"""What a user gets from pip."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_version_is_written_once():
    import mmreid
    scope = {}
    exec((ROOT / 'mmreid' / 'version.py').read_text(), scope)
    assert mmreid.__version__ == scope['__version__']


@pytest.mark.slow
def test_wheel_ships_configs_and_tools(tmp_path):
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '-q', '-w', str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True)
    names = zipfile.ZipFile(next(tmp_path.glob('mmreid-*.whl'))).namelist()
    for wanted in ('mmreid/py.typed', 'mmreid/.mim/tools/train.py', 'mmreid/.mim/configs/ptl/densenet161_market.py',
                   'mmreid/.mim/model-index.yml'):
        assert wanted in names, wanted
    assert not [name for name in names if name.startswith(('tests/', 'data/', 'work_dirs/'))]


def test_nothing_needs_pkg_resources():
    """setuptools >= 82 has no pkg_resources; some functions of mmengine still ask for it."""
    code = ('import sys; sys.modules["pkg_resources"] = None\n'
            'import mmreid.datasets, mmreid.models, mmreid.evaluation, mmreid.engine\n'
            'from mmreid.utils.config import load_config\n'
            'from tests import shortcuts\n'
            'shortcuts.install()  # each base is read once\n'
            'import glob\n'
            'for path in glob.glob("configs/[!_]*/*.py"): load_config(path)\n'
            'import mmpretrain.models\n'
            'print("fine")')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip().endswith('fine'), done.stderr
