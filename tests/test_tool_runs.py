"""Tools that run inside a test: what comes back is what a process of their own gives, and nothing is left behind."""

import logging
import multiprocessing
import os
import random
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger, print_log
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from tests.tool_runs import ROOT, run_file, run_tool


@pytest.fixture
def both(tmp_path):
    """Run a program here and in a process of its own: text, arguments -> both."""

    def call(text, *arguments, **options):
        path = tmp_path / 'program.py'
        path.write_text(text)
        environment = dict(os.environ, **options.get('env', {}))
        alone = subprocess.run([sys.executable, str(path), *arguments], text=True, env=environment,
                               cwd=options.get('cwd'), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT if options.get('merge') else subprocess.PIPE)
        return run_file(str(path), *arguments, **options), alone

    return call


@pytest.mark.parametrize('ending, code, last', [
    ('', 0, ''), ('sys.exit()', 0, ''), ('sys.exit(0)', 0, ''), ('sys.exit(3)', 3, ''), ('sys.exit(True)', 1, ''),
    ('sys.exit(-1)', 255, ''), ('sys.exit("no file")', 1, 'no file\n'), ('sys.exit([1, 2])', 1, '[1, 2]\n'),
    ('raise ValueError("mine")', 1, 'ValueError: mine\n'), ('import nowhere_at_all', 1, "named 'nowhere_at_all'\n"),
    ('def f(): 1 / 0\ntry: f()\nexcept ZeroDivisionError as e: raise KeyError(1) from e', 1, 'KeyError: 1\n'),
])
def test_status_and_outputs_are_those_of_a_process(both, ending, code, last):
    speak = 'import sys\nprint("out", sys.argv[1:], __name__)\nprint("err", file=sys.stderr)\n'
    here, alone = both(speak + ending, 'a')
    assert (here.returncode, here.stdout) == (alone.returncode, alone.stdout) == (code, "out ['a'] __main__\n")
    assert here.stderr == alone.stderr and here.stderr.startswith('err\n') and here.stderr.endswith(last)
    assert here.args == alone.args[1:]


def test_a_file_that_does_not_compile(both):
    here, alone = both('print(1\n')
    assert here.returncode == alone.returncode == 1 and here.stdout == alone.stdout == ''
    assert here.stderr.splitlines()[-1] == alone.stderr.splitlines()[-1] == "SyntaxError: '(' was never closed"


def test_surroundings_are_those_of_a_process(both, tmp_path):
    (tmp_path / 'beside.py').write_text('NAME = "mine"')
    here, alone = both('import beside, os, sys, warnings\nprint(beside.NAME, sys.path[0], sys.argv, os.getcwd())\n'
                       'print(os.environ["WORD"], "ü")\nos.write(1, b"by a library\\n")\nos.system("echo by a child")\n'
                       'warnings.warn("careful")', 'x', cwd=str(tmp_path), env=dict(WORD='word'), merge=True)
    assert sorted(here.stdout.splitlines()) == sorted(alone.stdout.splitlines()) and here.stderr is alone.stderr is None
    assert 'UserWarning: careful' in here.stdout and 'by a child' in here.stdout
    assert 'beside' not in sys.modules and 'WORD' not in os.environ


def test_named_instances_are_new_and_old_ones_come_back(tmp_path):
    """The scope that an earlier test has left does not help a tool, and its logger does not take the messages."""
    scope = DefaultScope.get_instance('of this test', scope_name='mmreid')
    logger = MMLogger.get_instance('shared')
    (tmp_path / 'program.py').write_text(
        'from mmengine.registry import DefaultScope\nfrom mmengine.logging import MMLogger, print_log\n'
        'print(DefaultScope.get_current_instance())\nMMLogger.get_instance("shared").warning("from the tool")\n'
        'print_log("by name", logger="shared")\nDefaultScope.get_instance("tool", scope_name="elsewhere")')
    done = run_file(str(tmp_path / 'program.py'))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('None\n') and 'from the tool' in done.stdout and 'by name' in done.stdout
    assert DefaultScope.get_current_instance() is scope and MMLogger.get_instance('shared') is logger
    assert not DefaultScope.check_instance_created('tool')
    print_log('after all', logger='shared', level=logging.WARNING)
    for manager, name in ((DefaultScope, 'of this test'), (MMLogger, 'shared')):
        del manager._instance_dict[name]


CHANGES = """
import multiprocessing, os, random, sys, warnings
import cv2, numpy, torch
from matplotlib import pyplot
from mmengine.visualization import Visualizer
sys.argv.append('more'); sys.path.insert(0, '/nowhere'); sys.path.append('/anywhere')
os.chdir('/'); os.environ['NEW_ONE'] = '1'; os.environ['HOME'] = '/elsewhere'; del os.environ['GOES']
warnings.simplefilter('error'); warnings.showwarning = None
random.seed(1); numpy.random.seed(1); torch.manual_seed(1)
torch.set_num_threads(2); cv2.setNumThreads(1); torch.backends.cudnn.benchmark = True
torch.use_deterministic_algorithms(True)
multiprocessing.set_start_method('spawn', force=True)
pyplot.figure(); pyplot.rcParams['lines.linewidth'] = 17
Visualizer.get_instance('left')
sys.stdout.reconfigure(errors='replace'); sys.stdout = sys.stderr
ENDING
"""


def state():
    from matplotlib import pyplot
    return [sys.argv, list(sys.argv), list(sys.path), os.getcwd(), dict(os.environ), list(warnings.filters),
            warnings.showwarning, random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist(),
            torch.get_num_threads(), cv2.getNumThreads(), torch.backends.cudnn.benchmark,
            torch.are_deterministic_algorithms_enabled(), multiprocessing.get_start_method(), pyplot.get_fignums(),
            pyplot.rcParams['lines.linewidth'], dict(Visualizer._instance_dict), sys.stdout, sys.stderr,
            os.fstat(1), os.fstat(2), sys.modules['__main__']]


@pytest.mark.parametrize('ending, code', [('', 0), ('sys.exit(4)', 4), ('1 / 0', 1)])
def test_nothing_is_left_behind(tmp_path, monkeypatch, ending, code):
    monkeypatch.setenv('GOES', '1')
    (tmp_path / 'program.py').write_text(CHANGES.replace('ENDING', ending))
    before = state()
    done = run_file(str(tmp_path / 'program.py'))
    assert done.returncode == code and (code != 1) == (done.stderr == ''), done.stderr
    assert state() == before


def test_modules_beside_a_tool_are_those_of_its_folder(tmp_path):
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'helper.py').write_text(f'NAME = {name!r}')
        (tmp_path / name / 'program.py').write_text('import helper\nprint(helper.NAME)')
    assert [run_file(str(tmp_path / name / 'program.py')).stdout for name in ('one', 'two', 'one')] == [
        'one\n', 'two\n', 'one\n']


def test_help_of_a_tool():
    done = run_tool('analysis_tools/average_results', '--help')
    alone = subprocess.run([sys.executable, str(ROOT / 'tools/analysis_tools/average_results.py'), '--help'],
                           capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (alone.returncode, alone.stdout) and done.stdout.startswith('usage: ')
    assert run_tool('analysis_tools/average_results.py').returncode == 2
