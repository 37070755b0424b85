"""Shared by the tests of datasets."""
import logging

import pytest
from mmengine.logging import MMLogger


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
