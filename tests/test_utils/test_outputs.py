"""A run replaces only what the same kind of run has written, as it has written it."""
import os

import pytest

from mmpose_mspn.utils.errors import OutputError
from mmpose_mspn.utils.outputs import (
    RECORD,
    check_outputs,
    may_replace,
    move_output,
    open_output,
    record_output,
    refuse_empty,
    write_json_output,
    write_output,
)


def test_a_run_replaces_its_own_file_and_no_other(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    check_outputs('--out', [path], 'export')
    write_json_output(path, dict(a=1), 'export')
    check_outputs('--out', [path], 'export')
    write_json_output(path, dict(a=2), 'export')
    check_outputs('--out', [path], 'export')
    with pytest.raises(OutputError, match=r'--out: .*a\.json stands in the way'):
        check_outputs('--out', [path], 'diagnose')
    assert not may_replace(path, 'diagnose')


@pytest.mark.parametrize('content', ['', '{"a": 1}', '{"a": 1}\n'])
def test_a_file_that_was_edited_or_is_anothers_stands_in_the_way(tmp_path, content):
    path = tmp_path / 'a.json'
    path.write_text(content)
    with pytest.raises(OutputError, match='a.json'):
        check_outputs('--out', [path], 'export')
    path.unlink()
    write_output(path, b'ours', 'export')
    path.write_text(content)
    with pytest.raises(OutputError, match='a.json'):
        check_outputs('--out', [tmp_path / 'missing', path], 'export')
    assert path.read_text() == content


def test_a_source_is_not_replaced_whoever_has_written_it(tmp_path):
    path, link = tmp_path / 'a.json', tmp_path / 'link.json'
    write_output(path, b'ours', 'export')
    link.symlink_to(path)
    with pytest.raises(OutputError, match='read by this run'):
        check_outputs('--out', [path], 'export', [link])


def test_what_is_no_file_stands_in_the_way(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'broken').symlink_to(tmp_path / 'nowhere')
    (tmp_path / 'link').symlink_to('/etc/hostname')
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'folder' / 'mine').touch()
    for name in ('pipe', 'broken', 'link', 'folder'):
        with pytest.raises(OutputError, match=name):
            check_outputs('--out', [tmp_path / name], 'export')


def test_a_folder_of_ours_may_be_written_to_again(tmp_path):
    folder = tmp_path / 'train2017'
    folder.mkdir()
    check_outputs('out', [folder], 'make_synthetic')
    record_output(folder, 'make_synthetic')
    (folder / '1.jpg').touch()
    check_outputs('out', [folder], 'make_synthetic')
    assert not may_replace(folder, 'export')


def test_a_crash_leaves_no_file_of_ours_that_is_not_known(tmp_path):
    """Whatever is recorded first: a file is the old or the new one, and both are known."""
    path = tmp_path / 'a.json'
    write_output(path, b'old', 'export')
    with pytest.raises(KeyboardInterrupt), open_output(path, 'export') as file:
        file.write(b'new')
        raise KeyboardInterrupt
    assert path.read_bytes() == b'old' and may_replace(path, 'export')
    made = tmp_path / 'made'
    made.write_bytes(b'new')
    record_output(path, 'export', made)  # killed before it was renamed
    assert may_replace(path, 'export')
    move_output(made, path, 'export')
    assert path.read_bytes() == b'new' and may_replace(path, 'export')
    with open(tmp_path / RECORD, 'ab') as file:
        file.write(b'{"file": "b.js')  # killed within a line
    assert may_replace(path, 'export') and may_replace(tmp_path / 'b.json', 'export')


@pytest.mark.parametrize('name', ['', '  '])
def test_an_empty_name_is_refused(name):
    with pytest.raises(OutputError, match='--out is empty'):
        refuse_empty('--out', name)
    refuse_empty('--out', None)
