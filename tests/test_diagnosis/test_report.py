"""The page as a file: nothing hostile gets through as markup, nothing is fetched, every number is in the JSON."""
import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser

import pytest

from mmpose_mspn.diagnosis.report import (
    MOST_POINTS,
    PAGE_BYTES,
    VIEWER_BYTES,
    check_page_packages,
    find_logs,
    read_curves,
    write_report,
)

from .conftest import HOSTILE


class Page(HTMLParser):
    """The tags of a page, the scripts' text, and what cells say of numbers."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.numbers, self.text, self.inside = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag == 'script':
            self.scripts.append([attributes, ''])
        if 'data-path' in attributes:
            self.numbers.append([attributes['data-path'], attributes['data-value'], ''])
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if self.inside and self.inside[-1] == 'script':
            self.scripts[-1][1] += data
        elif self.inside and self.inside[-1] != 'style':
            self.text.append(data)
        if self.numbers and self.inside and self.inside[-1] in ('td', 'span') and not self.numbers[-1][2]:
            self.numbers[-1][2] = data.strip()


@pytest.fixture(scope='module')
def page(made):
    return Page((made.folder / 'index.html').read_text(encoding='utf-8'))


def value_at(content, path):
    """The JSON's value at a path; cases are found by their id. What does not apply has no values below it."""
    for step in path.split('/'):
        if content is None:
            return None
        if isinstance(content, list) and not step.isdigit():
            content = next(entry for entry in content if entry['id'] == step)
        else:
            content = content[int(step) if isinstance(content, list) else step]
    return content


def test_every_number_on_the_page_stands_in_the_json(page, made):
    assert len(page.numbers) > 300
    for path, value, shown in page.numbers:
        expected = value_at(made.content, path)
        if expected is None:
            assert (value, shown) == ('', '–')
        else:
            assert float(value) == expected, path
            digits = len(shown.partition('.')[2])
            assert float(shown.replace(',', '')) == pytest.approx(expected, abs=.5001 * 10**-digits), path


def test_the_data_block_is_the_json_and_the_pictures(page, made):
    block = next(json.loads(text) for attributes, text in page.scripts if attributes.get('id') == 'data')
    for name, value in made.content.items():
        if name == 'viewer':
            for entry, numbers in zip(block[name], value):
                assert {key: entry[key] for key in numbers} == numbers
        elif name == 'cases':
            by_id = {case['id']: case for case in value}
            assert all(case == by_id[case['id']] for case in block[name])
        else:
            assert block[name] == value


def test_hostile_names_are_text(page, made):
    assert {record['file'] for record in made.content['cases']} >= set(HOSTILE)
    names = ''.join(page.text)
    for name in HOSTILE:
        assert name in names
    assert [attributes.get('type') for attributes, _ in page.scripts] == ['application/json', None, None]
    for tag, attributes in page.tags:
        assert not any(name.startswith('on') for name in attributes)
        assert tag != 'b' or 'hacked' not in str(attributes)
    assert all('src' not in attributes for tag, attributes in page.tags if tag == 'img')


def test_the_page_is_one_file_that_lets_nothing_else_run_or_load(page):
    policy = next(attributes['content'] for tag, attributes in page.tags
                  if tag == 'meta' and attributes.get('http-equiv') == 'Content-Security-Policy')
    allowed = re.findall("'sha256-([^']+)'", policy)
    scripts = [text for attributes, text in page.scripts if 'type' not in attributes]
    assert allowed == [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    assert "default-src 'none'" in policy and 'http' not in policy
    for tag, attributes in page.tags:
        assert tag not in ('iframe', 'object', 'embed', 'base', 'video', 'audio')
        assert 'src' not in attributes
        assert tag != 'link' or attributes['href'] == 'data:,'


def test_the_license_of_the_charts_is_in_the_file(page):
    assert any('Licensed under the MIT license' in text and 'plotly.js' in text for _, text in page.scripts)


def test_the_viewers_pictures_keep_to_a_budget(made, tmp_path):
    """Fifty people with large heatmaps: some are left out of the viewer, with a note, and the file stays small."""
    shown = made.content['cases'][:8]
    picture = 'data:image/jpeg;base64,'.ljust(VIEWER_BYTES // 4 - 1000, 'A')
    viewer = [dict(id=record['id'], size=[1, 1], heatmap_size=[1, 1], predictors=[], truth=None, crop=picture,
                   heatmaps='', targets=None) for record in shown]
    page = write_report(tmp_path, made.content, shown, {}, viewer)
    assert page.stat().st_size < PAGE_BYTES
    content = json.loads((tmp_path / 'diagnosis.json').read_text())
    assert len(content['viewer']) == content['page']['viewer_left_out'] == 4
    assert ['page/viewer_left_out', '4', '4'] in Page(page.read_text()).numbers


def test_large_photographs_leave_less_to_the_viewer(made, tmp_path):
    shown = made.content['cases'][:8]
    photograph = 'data:image/jpeg;base64,'.ljust(1_000_000, 'A')
    pictures = {record['id']: dict(picture=photograph, window=[0, 0, 1, 1]) for record in shown}
    viewer = [dict(id=record['id'], size=[1, 1], heatmap_size=[1, 1], predictors=[], truth=None, crop=photograph,
                   heatmaps='', targets=None) for record in shown]
    page = write_report(tmp_path, made.content, shown, pictures, viewer)
    kept = json.loads((tmp_path / 'diagnosis.json').read_text())['viewer']
    assert PAGE_BYTES - 1_100_000 < page.stat().st_size <= PAGE_BYTES
    assert 0 < len(kept) < 7_000_000 // 1_000_000


@pytest.mark.parametrize('name', ['plotly', 'jinja2'])
def test_a_missing_package_is_named_with_its_remedy(name, monkeypatch):
    for module in [one for one in sys.modules if one.partition('.')[0] == name] + [name]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f'the page needs {name}, which is not installed: pip install'):
        check_page_packages()


def test_the_size_of_a_page(made):
    """Plotly takes 5 MB, and each of these people about 50 kB."""
    assert (made.folder / 'index.html').stat().st_size < 6_500_000


# ---------------------------------------------------------------- curves of a training


def write_log(work_dir, start, *entries):
    folder = work_dir / start / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(
        entry if isinstance(entry, str) else json.dumps(entry) for entry in entries))


def train(step, loss, **more):
    return dict(dict(lr=.1, loss=loss, loss_stage0=loss / 2, acc_pose=.5, time=1., data_time=.1, step=step), **more)


def test_a_resumed_run_is_one_curve_and_the_later_start_holds(tmp_path):
    write_log(tmp_path, '20260102_000000', train(20, 7.), train(30, 6.))
    write_log(tmp_path, '20260101_000000', train(10, 9.), train(20, 8.))
    curves = read_curves(find_logs(tmp_path))
    assert curves['loss'] == dict(step=[10, 20, 30], value=[9., 7., 6.])
    assert set(curves) == {'loss', 'loss_stage0', 'acc_pose', 'lr'}


def test_metrics_go_with_the_step_before_them(tmp_path):
    """mmengine logs them by epoch, which is 0 in a training by iterations."""
    write_log(tmp_path, 'a', {'coco/AP': .1, 'step': 5}, train(10, 9.), {'coco/AP': .2, 'step': 0}, train(20, 8.),
              {'coco/AP': .3, 'step': 0})
    assert read_curves(find_logs(tmp_path))['coco/AP'] == dict(step=[5, 10, 20], value=[.1, .2, .3])


def test_lines_that_are_cut_or_not_finite_are_passed_over(tmp_path):
    write_log(tmp_path, 'a', train(10, 9.), '{"loss": 3, "st', '[1]', train(20, float('nan')), train(30, 7.))
    assert read_curves(find_logs(tmp_path))['loss'] == dict(step=[10, 30], value=[9., 7.])


def test_long_curves_are_thinned_and_keep_their_end(tmp_path):
    write_log(tmp_path, 'a', *(train(step, float(step)) for step in range(1, 1002)))
    steps = read_curves(find_logs(tmp_path))['loss']['step']
    assert len(steps) <= MOST_POINTS and steps[-1] == 1001
    assert {later - earlier for earlier, later in zip(steps, steps[1:])} == {3}


def test_no_log_no_curves(tmp_path):
    assert read_curves(find_logs(tmp_path)) == {}
