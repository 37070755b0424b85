"""Errors of the tools, in one line, in real processes."""
import subprocess

import pytest

from tests.launching import python as run
from tests.places import DEMO, ROOT


def tool(name: str, *arguments: object, **kwargs) -> subprocess.CompletedProcess:
    return run(ROOT / 'tools' / f'{name}.py', *arguments, **kwargs)


@pytest.mark.parametrize('name, arguments, code, message', [
    ('train', ['nowhere.py'], 1, 'error: config nowhere.py does not exist'),
    ('train', [str(DEMO), '--cfg-options', 'model.backbon.num_stages=1'], 1, "did you mean 'backbone'?"),
    ('train', [str(DEMO), '--resum'], 2, "unrecognized arguments: --resum; did you mean '--resume'"),
    ('test', [str(DEMO), 'x.pth', '--out', 'm.csv'], 1, 'error: --out m.csv must end with one of .json'),
    ('infer', ['a.jpg', str(DEMO), 'x.pth', '--ot', 'y'], 2, '--out'),
    ('check_data', ['nowhere.py'], 1, 'error: config nowhere.py does not exist'),
    ('submission', ['mpii-people', 'nowhere.mat', 'out.json'], 1, 'nowhere.mat'),
    ('convert_checkpoint', ['nowhere.pth', 'out.pth'], 1, 'nowhere.pth'),
    ('publish_model', ['nowhere.pth', 'out'], 1, 'nowhere.pth'),
    ('demo', ['--config', 'nowhere.py'], 1, 'error: config nowhere.py does not exist'),
    ('make_synthetic', ['{}', '--train', '-1'], 1, 'error: '),
])
def test_an_error_is_one_line(tmp_path, name, arguments, code, message):
    done = tool(name, *(argument.format(tmp_path) for argument in arguments))
    lines = done.stderr.strip().splitlines()
    assert done.returncode == code and message in lines[-1] and 'Traceback' not in done.stderr, done.stderr
    if code == 1:
        assert [line for line in lines if line.startswith('error: ')] == lines[-1:]


@pytest.mark.parametrize('arguments, variables', [(['--debug'], {}), ([], {'MMPOSE_MSPN_DEBUG': '1'})])
def test_debug_shows_the_traceback(arguments, variables):
    done = tool('train', 'nowhere.py', *arguments, **variables)
    assert done.returncode == 1 and 'Traceback' in done.stderr and 'FileNotFoundError' in done.stderr


SCRIPT = 'from mmpose_mspn.apis.command_line import run_tool\ndef main():\n    {}\nrun_tool(main)'
HANGUP = 'import os, signal; signal.signal(signal.SIGHUP, signal.{})\n{}'
"""A script that starts with SIGHUP as it usually is, or ignored, as under ``nohup``."""


@pytest.mark.parametrize('body, code, shown', [
    ("from mmpose_mspn.utils.errors import DataError; raise DataError('two\\n lines')", 1, 'error: two lines\n'),
    ("raise MemoryError('Unable to allocate 3 TiB')", 1, "used up (Unable to allocate 3 TiB): process fewer at once "
     '(batch_size, --batch-size, num_workers), or train with --low-memory\n'),
    ("open('nowhere')", 1, 'error: nowhere: No such file or directory\n'),
    ("raise KeyboardInterrupt", 130, 'interrupted\n'),
    ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, 'terminated\n'),
    ("return 3", 3, ''),
])
def test_what_is_shown(body, code, shown):
    done = run('-c', SCRIPT.format(body))
    assert done.returncode == code and done.stderr.endswith(shown) and 'Traceback' not in done.stderr


@pytest.mark.parametrize('handler, code, shown', [('SIG_DFL', 129, 'terminated\n'), ('SIG_IGN', 0, '')])
def test_a_closed_terminal_ends_a_tool_unless_nohup_started_it(handler, code, shown):
    done = run('-c', HANGUP.format(handler, SCRIPT.format('os.kill(os.getpid(), signal.SIGHUP)')))
    assert (done.returncode, done.stderr) == (code, shown)


@pytest.mark.parametrize('body', [
    "{}['key']", "raise RuntimeError('of a library')", '1 / 0', 'None.x', "assert False, 'ours'"])
def test_mistakes_in_code_keep_their_traceback(body):
    done = run('-c', SCRIPT.format(body))
    assert done.returncode == 1 and 'Traceback' in done.stderr


def test_an_error_in_a_data_worker_is_one_line():
    done = run('-c', '''
from torch.utils.data import DataLoader
from mmpose_mspn.apis.command_line import run_tool
from mmpose_mspn.utils.errors import DataError
class Broken(list):
    def __getitem__(self, index):
        raise DataError(f'annotation {index} is wrong')
run_tool(lambda: list(DataLoader(Broken([1]), num_workers=1)))
''')
    assert done.stderr.endswith('error: annotation 0 is wrong\n') and 'Traceback' not in done.stderr


def test_the_demo_finds_its_config_from_any_folder(tmp_path):
    done = tool('demo', '--help', cwd=tmp_path)
    assert done.returncode == 0
    found = run('-c', 'import sys; sys.path.insert(0, sys.argv[1]); import demo; print(demo.CONFIG.is_file())',
                ROOT / 'tools', cwd=tmp_path)
    assert found.stdout.strip() == 'True'
