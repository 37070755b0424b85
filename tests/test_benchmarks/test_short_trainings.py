"""The files of short trainings: what they hold is not trained again, and how it is shown."""
import functools
import json

import demo_recipes
import own_keypoints
import pytest
import short_trainings
import start_of_norms
import torch


def result(*validations, iterations: int = 500) -> dict:
    return dict(iterations=iterations, validations=[
        dict(iteration=step, PCK=pck, AP=pck / 2, score=1., seconds=6. * step) for step, pck in validations])


@pytest.fixture
def results(tmp_path) -> short_trainings.Results:
    """A file with one training."""
    done = {short_trainings.Training(0, 4, 60).named(): result((10, 0.5))}
    (tmp_path / 'measured.json').write_text(json.dumps(dict(about=dict(torch='2'), trainings=done)))
    return short_trainings.Results(tmp_path / 'measured.json')


def test_a_training_that_the_file_holds_is_not_run_again(results, monkeypatch):
    monkeypatch.setattr(short_trainings, 'ProcessPoolExecutor', None)  # what would run one
    assert results.obtain(short_trainings.Training(0, 4, 60)) == result((10, 0.5))
    assert results.known(short_trainings.Training(1, 4, 60)) is None
    # Settings count, the folder of a checkpoint does not.
    weights = [short_trainings.Training(0, 4, 60, weights=f'{folder}/iter_1800.pth').named() for folder in 'ab']
    assert weights[0] == weights[1] != short_trainings.Training(0, 4, 60).named()


def test_a_row_shows_the_last_figures_and_when_they_were_enough():
    line = own_keypoints.line('x', [result((10, 0.5), (20, 0.8), (30, 0.75)), result((10, 0.7), (25, 0.79))])
    assert line == '| x | 500 | 0.750, 0.790 | 0.375, 0.395 | 20, never | 2.5 |'


def test_a_gain_is_the_difference_of_the_last_figures_of_the_same_seeds():
    """Differences 0.1 and 0.3: their mean, and t = 12.706 times 0.1."""
    own, others = ([result((10, 0.9), (20, pck)) for pck in side] for side in ((0.6, 0.9), (0.5, 0.6)))
    assert own_keypoints.gain(own, others, 'PCK') == '+0.200 ± 1.271'
    assert own_keypoints.gain(own, others, 'AP') == '+0.100 ± 0.635'


def test_a_cell_shows_the_seeds_that_are_measured(results):
    for seed, pck in ((0, 0.5), (2, 0.7)):
        results.content['trainings'][start_of_norms.training(seed, 1e-2, 1., 20.).named()] = result((200, pck))
    assert start_of_norms.cell(results, 1e-2, 1., 20.) == '0.600 (0.500-0.700 of 2), 0.300, **1.00**'
    assert start_of_norms.cell(results, 1e-3, 1., 20.) == ''


def test_a_start_is_trained_with_a_config_as_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(short_trainings, 'FOLDER', tmp_path)
    monkeypatch.setattr(short_trainings, 'IMAGES', 4)
    monkeypatch.setattr(short_trainings, 'HELD_OUT', 2)
    monkeypatch.setattr(start_of_norms, 'ITERATIONS', 20)
    monkeypatch.setitem(short_trainings.NETWORKS, 'tiny', None)  # train() sets it; removed after the test
    training = start_of_norms.training(0, 1e-2, 1., 20.)._replace(images=4)
    found = short_trainings.train(training)
    assert found['iterations'] == 20 and [one['iteration'] for one in found['validations']] == [20]


def test_lines_of_a_written_config_are_changed(tmp_path):
    (tmp_path / 'config.py').write_text(
        'max_iters = 1500\nval_interval = (max_iters + 9) // 10  # steps\nlr = 0.1  # x\n')
    short_trainings.change_lines(tmp_path / 'config.py', (('max_iters', 20), ('val_interval', 5), ('lr', 0.01)))
    assert (tmp_path / 'config.py').read_text() == 'max_iters = 20\nval_interval = 5  # steps\nlr = 0.01  # x\n'
    with pytest.raises(ValueError, match='0 lines that set batch_size, not one'):
        short_trainings.change_lines(tmp_path / 'config.py', (('batch_size', 8), ))


def test_a_recipe_trains_the_demo_for_its_iterations(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_recipes, 'FOLDER', tmp_path)
    monkeypatch.setattr(demo_recipes, 'generate', functools.partial(demo_recipes.generate, train=4, val=2, workers=1))
    recipe = demo_recipes.Recipe(seed=0, stages=1, batch_size=2, iterations=3)
    found = demo_recipes.train(recipe)
    assert 0 <= found['AP'] <= 1
    weights = torch.load(tmp_path / recipe.folder() / 'iter_3.pth', weights_only=False)['state_dict']
    assert {name.split('.')[2] for name in weights if name.startswith('head.predictors')} == {'0'}


def test_a_row_of_recipes_shows_the_seeds_that_are_measured_and_their_difference():
    reference, found = {0: 0.72, 1: 0.7, 2: 0.74}, {0: 0.75, 2: 0.77}
    # Both pairs differ by 0.03, so the interval has no width.
    assert demo_recipes.line((1, 16, 3000), found, reference) == (
        '| 1 | 16 | 3,000 | 0.750, 0.770 | 0.760 | **+0.030 ± 0.000** |')
    assert demo_recipes.line((1, 16, 3000), {4: 0.75}, reference) == '| 1 | 16 | 3,000 | 0.750 | 0.750 |  |'
    assert demo_recipes.line((2, 16, 1800), reference, reference).endswith('| 0.720, 0.700, 0.740 | 0.720 |  |')
