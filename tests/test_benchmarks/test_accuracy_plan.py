"""The plan of the comparison of accuracy: both sides of a pair are equal but for one choice, variants are configs."""
import accuracy_config
import pytest
from accuracy_plan import QUESTIONS, SCALES, VARIANTS, Run, plan, run_of
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS


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
    moved = accuracy_config.build_config(Run('tiny', 'mmpose', 4, 2, 1), tmp_path / 'data', tmp_path / 'work')
    assert accuracy_config.fingerprint(moved) == found['mmpose']
