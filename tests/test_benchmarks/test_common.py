"""What a script measures in a process of its own."""
import pytest
from common import measured


def test_the_last_line_is_the_result_and_the_environment_is_given(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text('import json, os, sys\nprint("progress")\n'
                      'print(json.dumps([float(sys.argv[1]), os.environ.get("ONLY"), os.environ["PYTHONWARNINGS"]]))')
    assert measured(str(script), 1.5, environment=dict(ONLY='this')) == [1.5, 'this', 'ignore']
    assert measured(str(script), 2)[:2] == [2, None]


def test_a_script_that_fails_is_shown(tmp_path):
    (tmp_path / 'script.py').write_text('raise ValueError("what went wrong")')
    with pytest.raises(RuntimeError, match='(?s)script.py 7 failed:.*what went wrong'):
        measured(str(tmp_path / 'script.py'), 7)
