"""Shared by the tests of datasets."""
import logging
from contextlib import contextmanager
from typing import Iterator, List

import pytest
from mmengine.logging import MMLogger


@contextmanager
def messages_with(words: str) -> Iterator[List[str]]:
    """The messages of mmengine's logger in which these words occur."""
    messages: List[str] = []
    handler = logging.Handler()
    handler.addFilter(lambda record: words in record.getMessage())
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.fixture
def logged():
    """What is logged about people who are skipped."""
    with messages_with('skipped') as messages:
        yield messages


@pytest.fixture
def said():
    """What is logged about the cache of images."""
    with messages_with('are decoded for each person') as messages:
        yield messages
