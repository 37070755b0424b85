"""Shared by the tests of datasets."""
import logging

import pytest
from mmengine.logging import MMLogger

from mmpose_mspn.datasets import shared_images
from mmpose_mspn.utils import shared_file


@pytest.fixture
def meeting_folder(tmp_path_factory, monkeypatch):
    """A folder in which the processes of this test alone look for shared images, which need little free memory."""
    folder = tmp_path_factory.mktemp('meeting')
    monkeypatch.setattr(shared_file, 'IN_MEMORY', str(folder))
    monkeypatch.setattr(shared_images, 'RESERVE', 2**20)
    return folder


@pytest.fixture
def logged():
    """The messages of mmengine's logger about people who are skipped."""
    messages = []
    handler = logging.Handler()
    handler.addFilter(lambda record: 'skipped' in record.getMessage())
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
