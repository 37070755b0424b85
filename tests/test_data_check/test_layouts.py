"""Folders as the datasets are published."""
import pytest

from mmpose_mspn.data_check.layouts import LAYOUTS, check_folder
from mmpose_mspn.data_check.report import Report


@pytest.mark.parametrize('layout', LAYOUTS)
def test_correct_folders_pass_and_others_do_not(layout, folders, tmp_path):
    report = Report()
    check_folder(layout, str(folders[layout]), report, decode=True, progress=False)
    assert not report, str(report)
    check_folder(layout, str(tmp_path), report, progress=False)
    assert set(report.counts) == {'missing file'}
