"""Fixtures of the tests of what tools and users call."""
import pytest
from mmengine.logging import MMLogger

from tests.test_apis.infer_setup import Setup


@pytest.fixture
def log(caplog) -> pytest.LogCaptureFixture:
    """The records of mmengine's logger, which does not pass them to Python's root logger."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture(scope='session')
def setup_once(tmp_path_factory) -> Setup:
    return Setup(tmp_path_factory.mktemp('inference'))


@pytest.fixture
def setup(setup_once, tmp_path) -> Setup:
    """Images and a model for ``setup.infer``, which writes to the test's own folder."""
    setup_once.out = tmp_path / 'out'
    return setup_once
