"""The tables of data workers: values by hand, and where they go in a page."""
import data_workers
import pytest
from common import fill
from data_workers import Found

ROWS = [dict(row=row, ours=100.) for row, _ in data_workers.GPU_ROWS.values()]  # ms of a batch
PLAIN, KEPT = Found(4., 200.), Found(2., 400.)


def test_what_a_gpu_takes_is_measured_or_computed_from_the_measured_four_stages():
    rates = {work: (rate, known) for work, rate, known in data_workers.gpu_rates(ROWS)}
    assert rates['training, 4 stages, TF32'] == (320, 'measured')
    assert rates['test, 4 stages, bf16, flip test'] == (640, 'measured')
    # docs/models.md rounds these to 22.99 and 10.93 GFLOPs.
    assert rates['training, 2 stages, TF32'] == (pytest.approx(320 * 22990026624 / 10933894080), 'computed from GFLOPs')


def test_workers_of_a_gpu_and_hits_of_a_cache():
    text = data_workers.gpu_table('a GPU', [('training', 401, 'measured')], 'photographs', PLAIN, KEPT)
    assert '| training | 401 | measured | 3 | 2 |' in text
    assert '| none | 0 % | 4.00 ms | 200 |' in text
    assert '| 27 | 50 % | 3.00 ms | 267 |' in text  # half of 52.5 GB; two people in 1/200 + 1/400 s
    assert '| 53 | 100 % | 2.00 ms | 400 |' in text


def test_the_table_of_workers_has_the_medians_of_rounds():
    found = {1: [Found(3, 100), Found(4, 300), Found(9, 200)], 2: [Found(5, 350)]}
    assert '| drawn | ours | 4.00 ms | 200 | 350 |' in data_workers.table({'drawn': {'ours': found}}, [1, 2])


def test_a_table_goes_between_the_lines_of_its_name(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('a\n<!-- x -->\nold\n<!-- x -->\n<!-- y -->\nb\n<!-- y -->\n')
    fill(page, 'x', r'new \1')
    assert page.read_text() == 'a\n<!-- x -->\nnew \\1\n<!-- x -->\n<!-- y -->\nb\n<!-- y -->\n'
    with pytest.raises(ValueError, match='needs two lines <!-- z -->'):
        fill(page, 'z', '')
