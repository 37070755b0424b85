"""The pages for readers: their links, and the files and options of the commands that README.md prints."""
import re
import subprocess
import sys

import pytest

from tests.places import ROOT

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'CHANGELOG.md', *sorted((ROOT / 'docs').glob('*.md'))]
BLOCKS = re.findall(r'```(bash|python)\n(.*?)```', (ROOT / 'README.md').read_text(encoding='utf-8'), re.S)
MADE = ('data/', 'work_dirs/')
"""Folders that the commands themselves, or the reader, fill."""


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r'\]\(([^)#]+)\)', page.read_text(encoding='utf-8'))
    missing = [link for link in links if not link.startswith('http') and not (page.parent / link).exists()]
    assert missing == []


def test_files_in_the_commands_of_the_readme_exist():
    paths = set(re.findall(r'\b(?:configs|tools|data|work_dirs)/[\w./-]+', ''.join(block for _, block in BLOCKS)))
    assert any(path.startswith('configs/') for path in paths) and any(path.startswith('tools/') for path in paths)
    assert [path for path in sorted(paths) if not path.startswith(MADE) and not (ROOT / path).is_file()] == []


@pytest.mark.parametrize('tool', ['train', 'infer'])
def test_options_in_the_readme_are_options_of_its_tools(tool):
    commands = ''.join(block for kind, block in BLOCKS if kind == 'bash').replace('\\\n', ' ')
    used = {option for line in commands.splitlines() if re.search(rf'(tools/|dist_){tool}\.', line)
            for option in re.findall(r'--[\w-]+', line)}
    shown = subprocess.run([sys.executable, '-W', 'ignore', str(ROOT / f'tools/{tool}.py'), '--help'], check=True,
                           capture_output=True, text=True).stdout
    assert used and used <= set(re.findall(r'--[\w-]+', shown))


def test_python_in_the_readme_names_what_the_package_has():
    import mmpose_mspn
    code = '\n'.join(block for kind, block in BLOCKS if kind == 'python')
    compile(code, 'README.md', 'exec')
    for name in re.findall(r'mmpose_mspn\.([\w.]+)', code):
        owner = mmpose_mspn
        for part in name.split('.'):
            owner = getattr(owner, part)
