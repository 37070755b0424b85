"""Fixtures of the tests of what tools and users call."""
import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log(caplog) -> pytest.LogCaptureFixture:
    """The records of mmengine's logger, which does not pass them to Python's root logger."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
