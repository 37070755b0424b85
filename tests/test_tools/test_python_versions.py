"""Every file that names the supported versions of Python names the same ones."""
import re

import pytest

from tests.places import ROOT

VERSIONS = ['3.10', '3.11', '3.12']


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding='utf-8')


def test_package_metadata():
    content = text('setup.py')
    assert re.search(r"python_requires='(.*)'", content)[1] == '>=3.10,<3.13'
    assert re.findall(r'Python :: (3\.\d+)', content) == VERSIONS


def test_linter():
    assert re.search(r'target-version = "(.*)"', text('pyproject.toml'))[1] == 'py' + VERSIONS[0].replace('.', '')


def test_setup_script():
    accepted = re.search(r'^ *(3\.\d+(?: \| 3\.\d+)*)\) ;;', text('tools/setup_env.sh'), re.MULTILINE)[1]
    assert accepted.split(' | ') == VERSIONS


@pytest.mark.parametrize('name', ['README.md', 'requirements/pinned.txt', 'tools/setup_env.sh'])
def test_prose(name):
    """Ranges and lists such as "Python 3.10-3.12", "Python 3.10 to 3.12" and "Python 3.10, 3.11 or 3.12"."""
    named = re.findall(r'Python (?:\$version is outside )?(3\.\d+(?:(?:-|–| to |, | or | and )3\.\d+)+)', text(name))
    found = [re.findall(r'3\.\d+', versions) for versions in named]
    assert found and all((versions[0], versions[-1]) == (VERSIONS[0], VERSIONS[-1]) for versions in found)
