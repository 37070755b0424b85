"""The files in benchmarks/ are scripts and no package: the tests beside this file import them by their bare names."""
import sys

from tests.places import ROOT

sys.path.insert(0, str(ROOT / 'benchmarks'))
