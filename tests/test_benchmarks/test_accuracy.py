"""The comparison of accuracy: pairs differ in the rule alone, and interruptions change nothing."""
import argparse
import json
import os
import shutil
import subprocess
import sys

import accuracy
import accuracy_config
import accuracy_report
import accuracy_run
import mmpose
import numpy as np
import pytest
import torch
from accuracy_plan import DECODES, QUESTIONS, Run
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import digit_version
from mmpose.registry import DATASETS, MODELS

from tests.places import ROOT

OFFICIAL, MMPOSE = (Run('tiny', name, 4, 2, 1) for name in ('official', 'mmpose'))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    init_default_scope('mmpose')
    folder = tmp_path_factory.mktemp('people')
    accuracy_run.make_people(folder, 'tiny', workers=1)
    return folder


def test_both_rules_start_from_the_same_network(data, tmp_path):
    crop, maps = torch.rand(1, 3, 48, 32), []
    for run in (OFFICIAL, MMPOSE):
        model = MODELS.build(accuracy_config.build_config(run, data, tmp_path).model).eval()
        model.load_state_dict(accuracy_run.start_weights(run, data, tmp_path))
        with torch.no_grad():
            out = model.head(model.backbone(crop))
        maps.append(out[-1] if isinstance(out[-1], torch.Tensor) else out[-1][-1])
    assert maps[0].abs().max() > 1
    torch.testing.assert_close(maps[0], maps[1], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize('name, expected', [('official', 1), ('mmpose', 1), ('start-20', 20)])
def test_the_norms_of_predictors_start_as_the_variant_says(name, expected, data, tmp_path):
    state = accuracy_run.start_weights(Run('tiny', name, 4, 2, 1), data, tmp_path)
    norms = [value for key, value in state.items() if key.startswith('head.') and key.endswith('bn.weight')]
    assert len(norms) >= 4 and all((value == expected).all() for value in norms)


class Watch(Hook):
    """Notes the crops of a training, and ends it early if told to."""

    def __init__(self, end_after=None):
        self.crops, self.end_after = [], end_after

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == self.end_after:
            raise KeyboardInterrupt
        inputs = data_batch['inputs']
        self.crops.append(torch.stack(list(inputs)) if isinstance(inputs, list) else inputs)


def watched(monkeypatch, **settings):
    """A hook of the next training."""
    hook, build = Watch(**settings), Runner.from_cfg

    def from_cfg(cfg):
        runner = build(cfg)
        runner.register_hook(hook)
        return runner

    monkeypatch.setattr(Runner, 'from_cfg', from_cfg)
    return hook


@pytest.fixture(scope='module')
def pair(data, tmp_path_factory):
    """Both sides' crops and results, of two iterations, and the folder of the runs."""
    if digit_version(mmpose.__version__) < digit_version('1.3.2'):
        pytest.skip("the MSPNHead of mmpose below 1.3.2 cannot be trained: its loss gets its weights in a wrong order")
    work, crops, results = tmp_path_factory.mktemp('work'), [], []
    for run in (OFFICIAL, MMPOSE):
        with pytest.MonkeyPatch.context() as patch:
            hook = watched(patch)
            results.append(accuracy_run.train_and_measure(run, data, work))
        crops.append(torch.stack(hook.crops))
    return crops, results, work


def test_both_rules_see_the_same_crops_in_the_same_order(pair):
    crops, _, _ = pair
    assert crops[0].shape == (2, 2, 3, 48, 32)
    assert torch.equal(crops[0], crops[1])
    assert not torch.equal(crops[0][0], crops[0][1])


def test_an_interrupted_training_goes_on_to_the_same_result(pair, data, tmp_path, monkeypatch):
    whole = pair[1][0]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        watched(patch, end_after=1)
        accuracy_run.train_and_measure(OFFICIAL, data, tmp_path)
    hook = watched(monkeypatch)
    resumed = accuracy_run.train_and_measure(OFFICIAL, data, tmp_path)
    assert len(hook.crops) == 1 and torch.equal(hook.crops[0], pair[0][0][1])
    assert resumed['seconds'] is None and whole['seconds'] > 0
    assert resumed['measured'] == whole['measured']


def test_finished_runs_are_found_again_unless_their_config_has_changed(pair, data, capsys):
    work = pair[2]
    assert set(accuracy.results_of([OFFICIAL, MMPOSE], data, work)) == {OFFICIAL, MMPOSE}
    file = work / OFFICIAL.name / accuracy_run.RESULT
    before = file.read_text()
    file.write_text(json.dumps(dict(json.loads(before), config='another')))
    assert set(accuracy.results_of([OFFICIAL, MMPOSE], data, work)) == {MMPOSE}
    assert 'is of another config' in capsys.readouterr().err
    file.write_text(before)


def test_results_of_a_report_are_taken_on_a_machine_like_its_own(pair, data, tmp_path):
    results = accuracy.results_of([OFFICIAL, MMPOSE], data, pair[2])
    record = tmp_path / 'report.json'
    accuracy_report.write_record(record, 'tiny', results)
    accuracy.take_recorded(record, tmp_path / 'work')
    assert accuracy.results_of([OFFICIAL, MMPOSE], data, tmp_path / 'work') == results
    other = json.loads(record.read_text())
    other['about']['torch'] = '0.1'
    record.write_text(json.dumps(other))
    accuracy.take_recorded(record, tmp_path / 'elsewhere')
    assert not (tmp_path / 'elsewhere').exists()
    accuracy.take_recorded(tmp_path / 'missing.json', tmp_path / 'elsewhere')


def test_crops_from_the_file_are_those_of_the_pipeline(data, tmp_path):
    cfg = accuracy_config.build_config(MMPOSE, data, tmp_path)
    config = cfg.train_dataloader.dataset
    stored = DATASETS.build(config)
    seen = set()
    for draw in range(8):
        np.random.seed(draw)
        mirrored = bool(np.random.random() < .5)
        seen.add(mirrored)
        steps = [dict(step, prob=float(mirrored)) if step['type'] == 'RandomFlip' else step
                 for step in config.pipeline]
        expected = DATASETS.build(dict(config.source, pipeline=steps))[1]
        np.random.seed(draw)
        found = stored[1]
        assert torch.equal(found['inputs'], expected['inputs'])
        sample, other = found['data_samples'], expected['data_samples']
        assert all(torch.equal(*maps) for maps in zip(sample.gt_fields.heatmaps, other.gt_fields.heatmaps))
        assert torch.equal(sample.gt_instance_labels.keypoint_weights, other.gt_instance_labels.keypoint_weights)
        assert sample.id == other.id
    assert seen == {False, True}


def test_too_few_people_are_refused(data, tmp_path):
    with pytest.raises(ValueError, match='needs 9999 people to train on'):
        accuracy_run.train_and_measure(Run('tiny', 'official', 9999, 2, 1), data, tmp_path)


def test_mmposes_rule_gets_visibility_0_and_1():
    seen = accuracy_config.LabeledOrNot()(dict(keypoints_visible=np.array([[0., 1., 2.]])))
    assert seen['keypoints_visible'].tolist() == [[0, 1, 1]]


def test_crossed_decodes_take_positions_from_one_and_scores_from_the_other(pair):
    for result in pair[1]:
        measured = result['measured']
        # The error is of positions alone.
        assert measured['official positions']['px'] == measured['official']['px']
        assert measured['mmpose positions']['px'] == measured['mmpose']['px']
    ours, theirs = (dict(id=1, pred_instances=dict(keypoints=place, keypoint_scores=score))
                    for place, score in (('here', .5), ('there', .7)))
    assert accuracy_run.with_scores([ours], [theirs]) == [
        dict(id=1, pred_instances=dict(keypoints='here', keypoint_scores=.7))]
    assert ours['pred_instances']['keypoint_scores'] == .5


def test_errors_are_distances_from_visible_keypoints():
    truth = np.array([[0, 0, 2], [10, 0, 1], [0, 10, 0], [5, 5, 2]], float)
    points = np.array([[3, 4], [99, 99], [99, 99], [5, 6]], float)
    assert accuracy_run.visible_errors(points, truth).tolist() == [5, 1]


def test_time_left_follows_iterations_and_stages():
    done, waiting = Run('demo', '1-stage', 1000, 500, 1), Run('demo', '4-stage', 1000, 250, 1)
    assert accuracy.seconds_left([done, waiting], {done: dict(seconds=60.)}, parallel=2) == 60
    assert accuracy.seconds_left([done, waiting], {}, parallel=2) is None


def test_the_page_of_one_pair(pair, data, tmp_path):
    out = tmp_path / 'docs' / 'report.md'
    # The pair is one of few people and of a short training.
    args = argparse.Namespace(scale='tiny', part=['few'], seeds=1, only='', work=pair[2], data=data, out=out)
    accuracy.write_report(args)
    page, measured = out.read_text(), out.parent / 'measured'
    assert (measured / 'report.png').stat().st_size > 5000 and '(measured/report.png)' in page
    difference = f'{pair[1][0]["measured"]["official"]["AP"] - pair[1][1]["measured"]["mmpose"]["AP"]:+.3f}'
    assert f"| The official rule is better than mmpose's | 4 | 2 | 1 | {difference} | undecided |" in page
    assert '| Hard keypoint mining helps | 6 | 2 | 0 |  | not run yet |' in page
    ran, waiting = (page.split(f'## {QUESTIONS[part].title}')[1].split('##')[0] for part in ('few', 'paper'))
    assert ran.count('| official rule') == 1 and ran.count("| mmpose's rule") == 1
    assert f'{pair[1][0]["measured"]["official"]["px"]:.2f}' in ran
    assert waiting.strip() == 'Not run yet: `python benchmarks/accuracy.py run --scale tiny --part paper`'
    values = json.loads((measured / 'report.json').read_text())
    assert values['runs'][OFFICIAL.name]['measured'] == pair[1][0]['measured']
    out.write_text(page + '\n## What follows\n\nBy hand.\n')
    accuracy.write_report(args)
    assert out.read_text() == page + '\n## What follows\n\nBy hand.\n'


def test_the_command_trains_what_is_not_finished(pair, data, tmp_path):
    """A copy of one run's result is left as it is; the other run is trained in a process of its own."""
    done, work = [run.name for run in (OFFICIAL, MMPOSE)], pair[2]
    shutil.copytree(work / done[0], tmp_path / done[0])
    before = (tmp_path / done[0] / accuracy_run.RESULT).stat().st_mtime_ns
    subprocess.run([sys.executable, accuracy.__file__, 'run', '--scale', 'tiny', '--part', 'few', '--seeds', '1',
                    '--work', tmp_path, '--data', data], check=True, env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert (tmp_path / done[0] / accuracy_run.RESULT).stat().st_mtime_ns == before
    result = json.loads((tmp_path / done[1] / accuracy_run.RESULT).read_text())
    assert set(result['measured']) == set(DECODES) and result['threads'] == 1
    assert not list(tmp_path.rglob('*.pth'))
