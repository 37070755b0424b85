"""The file of trainings on own keypoints: what it holds is not trained again, and how it is shown."""
import json

import own_keypoints
import pytest


def result(*validations, iterations: int = 500) -> dict:
    return dict(iterations=iterations, validations=[
        dict(iteration=step, PCK=pck, AP=pck / 2, score=1., seconds=6. * step) for step, pck in validations])


@pytest.fixture
def results(tmp_path) -> own_keypoints.Results:
    """A file with one training."""
    done = {own_keypoints.Training(0, 4, 60).named(): result((10, 0.5))}
    (tmp_path / 'measured.json').write_text(json.dumps(dict(about=dict(torch='2'), trainings=done)))
    return own_keypoints.Results(tmp_path / 'measured.json')


def test_a_training_that_the_file_holds_is_not_run_again(results, monkeypatch):
    monkeypatch.setattr(own_keypoints, 'ProcessPoolExecutor', None)  # what would run one
    assert results.obtain(own_keypoints.Training(0, 4, 60)) == result((10, 0.5))
    assert results.known(own_keypoints.Training(1, 4, 60)) is None
    # Settings count, the folder of a checkpoint does not.
    weights = [own_keypoints.Training(0, 4, 60, weights=f'{folder}/iter_1800.pth').named() for folder in 'ab']
    assert weights[0] == weights[1] != own_keypoints.Training(0, 4, 60).named()


def test_a_row_shows_the_last_figures_and_when_they_were_enough():
    line = own_keypoints.line('x', [result((10, 0.5), (20, 0.8), (30, 0.75)), result((10, 0.7), (25, 0.79))])
    assert line == '| x | 500 | 0.750, 0.790 | 0.375, 0.395 | 20, never | 2.5 |'


def test_a_gain_is_the_difference_of_the_last_figures_of_the_same_seeds():
    """Differences 0.1 and 0.3: their mean, and t = 12.706 times 0.1."""
    own, others = ([result((10, 0.9), (20, pck)) for pck in side] for side in ((0.6, 0.9), (0.5, 0.6)))
    assert own_keypoints.gain(own, others, 'PCK') == '+0.200 ± 1.271'
    assert own_keypoints.gain(own, others, 'AP') == '+0.100 ± 0.635'


def test_a_training_is_measured_as_its_row_says(tmp_path, monkeypatch):
    monkeypatch.setattr(own_keypoints, 'FOLDER', tmp_path)
    monkeypatch.setattr(own_keypoints, 'IMAGES', 4)
    monkeypatch.setattr(own_keypoints, 'HELD_OUT', 2)
    lines = (('max_iters', 4), ('val_interval', 4), ('batch_size', 2))
    found = own_keypoints.train(own_keypoints.Training(0, 4, 4, colors=False, first=1., last=20., lines=lines))
    assert found['iterations'] == 4 and [one['iteration'] for one in found['validations']] == [4]


def test_lines_of_a_written_config_are_changed(tmp_path):
    (tmp_path / 'config.py').write_text(
        'max_iters = 1500\nval_interval = (max_iters + 9) // 10  # steps\nlr = 0.1  # x\n')
    own_keypoints.change_lines(tmp_path / 'config.py', (('max_iters', 20), ('val_interval', 5), ('lr', 0.01)))
    assert (tmp_path / 'config.py').read_text() == 'max_iters = 20\nval_interval = 5  # steps\nlr = 0.01  # x\n'
    with pytest.raises(ValueError, match='0 lines that set batch_size, not one'):
        own_keypoints.change_lines(tmp_path / 'config.py', (('batch_size', 8), ))
