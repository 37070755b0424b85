"""The comparison of accuracy: pairs differ in the rule alone, interruptions change nothing, intervals are Student's."""
import argparse
import json
import os
import shutil
import subprocess
import sys

import accuracy
import accuracy_config
import accuracy_measure
import accuracy_report
import accuracy_run
import mmpose
import numpy as np
import pytest
import torch
from accuracy_plan import QUESTIONS, SCALES, VARIANTS, Row, Run, plan, run_of
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


# ------------------------------------------------------------------ the plan


def test_both_sides_of_a_pair_have_equal_data_length_and_seed():
    for part, question in QUESTIONS.items():
        for setting, (people, length) in enumerate(question.settings):
            for row in question.rows:
                run = run_of('demo', part, row, setting, 3, speed=1.5)
                longer = 1.5 if question.equal_time and row != question.reference else row.length
                assert run.people == SCALES['demo'].people[people]
                assert run.iterations == SCALES['demo'].iterations[length] * longer and run.seed == 3


def test_runs_that_questions_share_are_planned_once_and_the_pairs_of_a_row_come_together():
    runs = plan('small', ('paper', 'rules'), (1, 2))
    assert [(run.variant, run.seed) for run in runs] == [
        # "rules" stands before "paper", and both decodes read the same networks.
        ('mmpose', 1), ('official', 1), ('mmpose', 2), ('official', 2),
        # The reference is trained already.
        ('no-mining', 1), ('no-mining', 2), ('no-coarse-to-fine', 1), ('no-coarse-to-fine', 2),
        ('no-aggregation', 1), ('no-aggregation', 2)]
    assert all(Run.named(run.name) == run for run in plan('demo', tuple(QUESTIONS), (1, 2), speed=1.5))


def test_a_row_that_trains_longer_is_a_run_of_more_iterations():
    row = next(row for row in QUESTIONS['recipe'].others if row.variant == '1-stage')
    assert row.length == 2 and row.title == '1 stage, 2 times the iterations'
    runs = {run.iterations for run in plan('small', ('recipe', ), (1, )) if run.variant == '1-stage'}
    assert runs == {2 * SCALES['small'].iterations[0]}


def test_batches_and_rates_follow_the_variant(tmp_path):
    init_default_scope('mmpose')
    half, double = (accuracy_config.build_config(Run('tiny', name, 4, 2, 1), tmp_path, tmp_path)
                    for name in ('half-batch', 'double-rate'))
    assert half.train_dataloader.batch_size == 1 and double.train_dataloader.batch_size == 2
    assert half.optim_wrapper.optimizer.lr == 1e-3 and double.optim_wrapper.optimizer.lr == 2e-3


def test_every_row_has_a_claim_of_its_own_wording_in_its_question():
    for question in QUESTIONS.values():
        said = [row.claim for row in question.others]
        assert all(said) and len(set(said)) == len(said) and not question.reference.claim


def test_equal_time_needs_the_measured_speed():
    with pytest.raises(ValueError, match='part time needs the measured speed'):
        plan('small', ('time', ), (1, ))


def test_every_variant_is_a_config_of_its_own_wherever_its_folders_are(tmp_path):
    init_default_scope('mmpose')
    found = {}
    for name in VARIANTS:
        cfg = accuracy_config.build_config(Run('tiny', name, 4, 2, 1), tmp_path, tmp_path)
        MODELS.build(cfg.model)
        found[name] = accuracy_config.fingerprint(cfg)
    # At this scale, a network has 1 stage anyway.
    assert found.pop('1-stage') == found['official']
    assert len(set(found.values())) == len(found)
    moved = accuracy_config.build_config(MMPOSE, tmp_path / 'data', tmp_path / 'work')
    assert accuracy_config.fingerprint(moved) == found['mmpose']


# ------------------------------------------------------------------ pairs


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


def test_errors_are_distances_from_visible_keypoints():
    truth = np.array([[0, 0, 2], [10, 0, 1], [0, 10, 0], [5, 5, 2]], float)
    points = np.array([[3, 4], [99, 99], [99, 99], [5, 6]], float)
    assert accuracy_measure.visible_errors(points, truth).tolist() == [5, 1]


# ------------------------------------------------------------------ the report


def test_an_interval_by_hand():
    """Student's quantile of 2 degrees of freedom is 4.3027; 1, 2, 3 have a standard deviation of 1."""
    interval = accuracy_report.Interval.of([1, 2, 3])
    assert interval.mean == 2
    assert interval.half == pytest.approx(4.302652729911275 / 3**.5, rel=1e-9)
    assert not interval.clear
    assert accuracy_report.Interval.of([2., 2.1, 1.9]).clear
    single = accuracy_report.Interval.of([1.])
    assert single.half is None and not single.clear


def result(**by_rule):
    return dict(measured={rule: dict(AP=value, AP50=value, AP75=value, px=10 * value)
                          for rule, value in by_rule.items()})


def test_differences_are_paired_by_seed_and_follow_the_decode():
    many, short = SCALES['tiny'].people[1], SCALES['tiny'].iterations[0]
    results = {}
    for seed, (ours, theirs) in enumerate([(.5, .4), (.7, .4), (.9, .4)], 1):
        results[Run('tiny', 'official', many, short, seed)] = result(official=ours, mmpose=ours - .1)
        results[Run('tiny', 'mmpose', many, short, seed)] = result(official=0., mmpose=theirs)
    del results[Run('tiny', 'mmpose', many, short, 3)]
    found = {one.row: one for one in accuracy_report.compare('tiny', 'rules', results, None)}
    assert found[Row('official')].differences['AP'] == pytest.approx([.1, .3])
    assert found[Row('official', 'mmpose')].differences['AP'] == pytest.approx([0, .2])
    assert found[Row('official')].differences['px'] == pytest.approx([1, 3])
    assert found[Row('mmpose')].differences['AP'] == [0, 0] and found[Row('mmpose')].is_reference
    lines = accuracy_report.table(list(found.values()), lambda run: 12.3).splitlines()
    # The difference's interval by hand: 0.2 ± 12.7062 · (0.2 / √2) / √2.
    assert lines[3] == ('| official rule | 12 | 6 | 2 | 2 | 0.600 | 0.600 | 0.600 | 6.00 | +0.200 ± 1.271 | '
                        '+2.00 ± 12.71 |')
    assert lines[2].endswith('| reference | reference |')


def test_a_claim_holds_where_the_interval_leaves_0_out_on_its_side():
    """The half width of three differences with a standard deviation of 0.01 is 4.3027 · 0.01 / √3 = 0.0248."""
    clear, unclear = [.02, .03, .04], [.01, .02, .03]
    assert accuracy_report.verdict(clear) == '**holds**'
    assert accuracy_report.verdict([-value for value in clear]) == '**the opposite holds**'
    assert accuracy_report.verdict(unclear) == 'undecided'
    assert accuracy_report.verdict([.5]) == 'undecided'
    assert accuracy_report.verdict([]) == 'not run yet'


def test_a_claim_holds_where_networks_without_the_idea_are_worse():
    many, short = SCALES['tiny'].people[1], SCALES['tiny'].iterations[0]
    results = {Run('tiny', name, many, short, seed): result(official=value, mmpose=0.)
               for seed in (1, 2, 3) for name, value in (('official', .5), ('no-mining', .48 - .001 * seed))}
    found = dict(paper=accuracy_report.compare('tiny', 'paper', results, None))
    lines = accuracy_report.claims('tiny', found).splitlines()
    # 0.021, 0.022 and 0.023, with a half width of 4.3027 · 0.001 / √3.
    assert '| Hard keypoint mining helps | 6 | 2 | 3 | **+0.022 ± 0.002** | **holds** |' in lines
    assert '| Cross-stage aggregation helps | 6 | 2 | 0 |  | not run yet |' in lines


def test_time_left_follows_iterations_and_stages():
    done, waiting = Run('demo', '1-stage', 1000, 500, 1), Run('demo', '4-stage', 1000, 250, 1)
    assert accuracy.seconds_left([done, waiting], {done: dict(seconds=60.)}, parallel=2) == 60
    assert accuracy.seconds_left([done, waiting], {}, parallel=2) is None


def test_the_page_of_one_pair(pair, data, tmp_path):
    out = tmp_path / 'docs' / 'accuracy'
    # The pair is one of few people and of a short training.
    args = argparse.Namespace(scale='tiny', part=['few'], seeds=1, only='', work=pair[2], data=data, out=out)
    accuracy.write_report(args)
    page = out.with_suffix('.md').read_text()
    assert out.with_suffix('.png').stat().st_size > 5000 and 'accuracy.png' in page
    difference = f'{pair[1][0]["measured"]["official"]["AP"] - pair[1][1]["measured"]["mmpose"]["AP"]:+.3f}'
    assert f"| The official rule is better than mmpose's | 4 | 2 | 1 | {difference} | undecided |" in page
    assert '| Hard keypoint mining helps | 6 | 2 | 0 |  | not run yet |' in page
    ran, waiting = (page.split(f'## {QUESTIONS[part].title}')[1].split('##')[0] for part in ('few', 'paper'))
    assert ran.count('| official rule') == 1 and ran.count("| mmpose's rule") == 1
    assert f'{pair[1][0]["measured"]["official"]["px"]:.2f}' in ran
    assert waiting.strip() == 'Not run yet: `python benchmarks/accuracy.py run --scale tiny --part paper`'
    values = json.loads(out.with_suffix('.json').read_text())
    assert values['runs'][OFFICIAL.name]['measured'] == pair[1][0]['measured']
    out.with_suffix('.md').write_text(page + '\n## What follows\n\nBy hand.\n')
    accuracy.write_report(args)
    assert out.with_suffix('.md').read_text() == page + '\n## What follows\n\nBy hand.\n'


def test_the_command_trains_what_is_not_finished(pair, data, tmp_path):
    """A copy of one run's result is left as it is; the other run is trained in a process of its own."""
    done, work = [run.name for run in (OFFICIAL, MMPOSE)], pair[2]
    shutil.copytree(work / done[0], tmp_path / done[0])
    before = (tmp_path / done[0] / accuracy_run.RESULT).stat().st_mtime_ns
    subprocess.run([sys.executable, accuracy.__file__, 'run', '--scale', 'tiny', '--part', 'few', '--seeds', '1',
                    '--work', tmp_path, '--data', data], check=True, env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert (tmp_path / done[0] / accuracy_run.RESULT).stat().st_mtime_ns == before
    result = json.loads((tmp_path / done[1] / accuracy_run.RESULT).read_text())
    assert set(result['measured']) == {'official', 'mmpose'} and result['threads'] == 1
    assert not list(tmp_path.rglob('*.pth'))
