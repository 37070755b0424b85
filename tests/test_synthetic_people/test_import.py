"""Drawn people are for demos and tests: no other process loads the code that draws them."""
import subprocess
import sys

from tests.launching import environment
from tests.places import ROOT

SCRIPT = """
import pkgutil, sys
import mmpose_mspn
from mmpose_mspn import apis, deploy, diagnosis, engine, new_dataset
for package in (apis, deploy, diagnosis, engine, new_dataset):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):
        __import__(module.name)
print([name for name in sys.modules if name.startswith('mmpose_mspn.synthetic_people')])
"""


def test_no_module_of_the_package_draws_when_it_is_imported():
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', SCRIPT], cwd=ROOT, env=environment(),
                          capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ['[]'], done.stderr
