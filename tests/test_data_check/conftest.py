"""Folders that the checks of layouts and of configs read."""
from pathlib import Path
from typing import Dict

import pytest

from mmpose_mspn.data_check.files import LAYOUTS
from tests.generated import make_datasets


@pytest.fixture(scope='session')
def folders(tmp_path_factory) -> Dict[str, Path]:
    """A correct folder of each layout, by its name."""
    root = tmp_path_factory.mktemp('people')
    made = make_datasets(root)
    return {name: made.get(name, root / ('coco' if name == 'wholebody' else name)) for name in LAYOUTS}
