"""The report of the comparison of accuracy: differences are paired by seed, intervals are Student's."""
import accuracy_report
import pytest
from accuracy_plan import SCALES, Row, Run


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
