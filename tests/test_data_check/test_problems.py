"""What a report shows of many problems."""
from mmpose_mspn.data_check.problems import REMEDIES, Report


def test_a_report_counts_all_problems_and_shows_the_first(tmp_path):
    report = Report()
    for number in range(5):
        report.add('missing image', f'{number}.jpg')
    assert str(report).splitlines() == [
        'missing image: 5', '    0.jpg', '    1.jpg', '    2.jpg', '    …',
        '  to do: ' + REMEDIES['missing image']
    ]
