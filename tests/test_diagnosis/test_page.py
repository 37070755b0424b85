"""The page in a real browser: it is clicked, its numbers are read, and it asks the network for nothing."""
import json
import shutil
import time

import numpy as np
import pytest

from mmpose_mspn.diagnosis.errors import KINDS

from .conftest import HOSTILE

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
DRIVER = shutil.which('chromedriver')
OPTIONS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
           '--disable-background-networking', '--disable-component-update', '--disable-sync',
           '--disable-dev-shm-usage', '--window-size=1280,900')


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    if CHROMIUM is None or DRIVER is None:
        pytest.skip('the page is not clicked: Chromium and its driver are not installed '
                    '(Debian: apt-get install chromium chromium-driver)')
    webdriver = pytest.importorskip('selenium.webdriver', reason='the page is not clicked: pip install selenium')
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f'--user-data-dir={tmp_path_factory.mktemp("profile")}'):
        options.add_argument(option)
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL', 'browser': 'ALL'})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(120)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, made):
    """Opened anew; ends with a look at what it asked the network for and what it complained about."""
    browser.get('about:blank')
    browser.get_log('performance')  # of the tab that the browser starts with, and of the test before
    browser.get((made.folder / 'index.html').as_uri())
    wait(lambda: run(browser, 'return document.documentElement.dataset.ready') == 'yes')
    yield browser
    requested = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    urls = [entry['params']['request']['url'] for entry in requested if entry['method'] == 'Network.requestWillBeSent']
    assert urls and not [url for url in urls if not url.startswith(('file:', 'data:', 'blob:'))]
    assert not browser.get_log('browser')
    assert browser.title == 'Why AP is what it is'


def run(browser, script, *arguments):
    return browser.execute_script(script, *arguments)


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            assert value
            return value
        time.sleep(.05)


def find(browser, selector):
    return browser.find_element('css selector', selector)


def click(browser, selector):
    element = find(browser, selector)
    run(browser, 'arguments[0].scrollIntoView({block: "center", behavior: "instant"})', element)
    element.click()


def test_charts_draw_the_numbers_of_the_json(page, made):
    drawn = run(page, '''
        const values = {};
        for (const chart of document.querySelectorAll('.js-plotly-plot'))
            values[chart.id || chart.dataset.group] = chart.data.map((trace) => (
                {x: [...(trace.x || [])], y: [...(trace.y || [])]}));
        return values;''')
    content = made.content
    assert drawn['chart-corrections'][0]['x'] == [row['gain'] for row in content['corrections']]
    assert [trace['x'] for trace in drawn['chart-kinds']] == [
        [row['shares'][kind] for row in content['keypoints']] for kind in KINDS]
    assert drawn['chart-similarity'][0]['x'] == [row['similarity'] for row in content['keypoints']]
    for name, series in (('ap', 0), ('ar', 1)):
        assert drawn['size'][series]['x'] == [row[name] for row in content['groups']['size']]
    assert drawn['chart-scores-people'][0]['y'] == [entry['similarity'] for entry in
                                                    content['calibration']['people']['bins']]
    last = [row for row in content['stages'] if row['last_unit']]
    assert drawn['chart-stages'][1] == dict(x=[row['milliseconds'] for row in last], y=[row['figure'] for row in last])
    assert drawn['chart-losses'][0]['y'] == [10., 5., 10 / 3]
    assert len(drawn['chart-compare-corrections']) == 2


def test_a_heading_sorts_its_column_both_ways(page, made):
    cases = {case['id']: case for case in made.content['cases']}
    heading = '#table-cases th:nth-child(4) button'  # the score

    def scores():
        rows = run(page, '''return [...document.querySelectorAll("#table-cases tbody tr")]
            .map((row) => row.dataset.case)''')
        return [cases[row]['score'] for row in rows]

    click(page, heading)
    known = sorted((score for score in scores() if score is not None), reverse=True)
    assert len(known) > 5
    assert scores() == known + [None] * (len(scores()) - len(known))
    click(page, heading)
    assert scores() == known[::-1] + [None] * (len(scores()) - len(known))
    assert find(page, '#table-cases th:nth-child(4)').get_attribute('aria-sort') == 'ascending'


def test_a_case_opens_with_its_numbers_and_its_two_layers(page, made):
    case = next(case for case in made.content['cases'] if case['status'] == 'matched')
    click(page, f'tr[data-case="{case["id"]}"]')
    assert find(page, '#case').get_attribute('open') is not None
    assert find(page, '#case-title').text == case['file'].strip()
    assert f'OKS {case["oks"]:.3f}' in find(page, '#case-facts').text
    rows = run(page, '''return [...document.querySelectorAll("#case-keypoints tbody tr")]
        .map((row) => [...row.cells].map((cell) => cell.textContent))''')
    for index, row in enumerate(rows):
        assert row[0] == made.content['keypoint_names'][index]
        assert row[1] == (case['kinds'][index] or 'not labeled')
        assert row[2] == ('–' if case['similarity'][index] is None else f'{case["similarity"][index]:.3f}')
        assert float(row[3]) == pytest.approx(case['predicted'][index][2], abs=.0051)

    def layers():
        return run(page, '''const found = {truth: [], prediction: []};
            for (const trace of document.getElementById("case-picture").data)
                if (trace.mode === "markers") found[trace.name] = trace.visible === false ? [] : [...trace.x];
            return found;''')

    wait(lambda: layers()['truth'])
    assert layers() == dict(truth=[point[0] for point in case['truth'] if point[2] > 0],
                            prediction=[point[0] for point in case['predicted']])
    click(page, '#case-truth')
    assert layers()['truth'] == [] and layers()['prediction']
    click(page, '#case-truth')
    click(page, '#case-predicted')
    assert layers()['truth'] and layers()['prediction'] == []
    assert run(page, 'return document.getElementById("case-picture").layout.images[0].source').startswith('data:image')


def test_hostile_names_run_nothing_and_read_as_they_are(page, made):
    for name in HOSTILE:
        case = next(case for case in made.content['cases'] if case['file'] == name)
        run(page, 'document.querySelector(`tr[data-case="${arguments[0]}"]`).click()', case['id'])
        assert run(page, 'return document.getElementById("case-title").textContent') == name
        run(page, 'document.getElementById("case").close()')
    options = run(page, 'return [...document.querySelectorAll("#viewer-person option")].map((one) => one.textContent)')
    for name in HOSTILE:
        assert any(name in option for option in options)
    assert run(page, 'return document.scripts.length') == 3


def move(page, slider, key):
    """Press an arrow key on a slider, as one does, and wait until the heatmap of that place is drawn."""
    before = drawn_place(page)
    find(page, f'#viewer-{slider}').send_keys(key)
    wait(lambda: drawn_place(page) != before)
    return drawn_place(page)


def drawn_place(page):
    """Stage, unit and keypoint, with dots between."""
    return run(page, 'return document.getElementById("viewer").dataset.drawn')


def test_sliders_walk_over_stages_units_and_keypoints(page, made):
    from selenium.webdriver.common.keys import Keys

    run(page, 'document.getElementById("viewer").scrollIntoView()')
    wait(lambda: drawn_place(page) == '2.4.-1')
    entry = made.content['viewer'][0]
    keypoint = next(index for index, point in enumerate(entry['truth']) if point[2] == 2 and 0 < point[0] < 96
                    and 0 < point[1] < 128)
    for _ in range(keypoint + 1):
        drawn = move(page, 'keypoint', Keys.ARROW_RIGHT)
    assert drawn == f'2.4.{keypoint}'
    for slider, expected in (('unit', f'2.3.{keypoint}'), ('stage', f'1.3.{keypoint}')):
        assert move(page, slider, Keys.ARROW_LEFT) == expected
        stage, unit, _ = map(int, expected.split('.'))
        predictor = next(one for one in entry['predictors'] if (one['stages'], one['unit']) == (stage, unit))
        x, y, score, away = predictor['points'][keypoint]
        name = made.content['keypoint_names'][keypoint]
        assert find(page, '#viewer-readout').text == (
            f'{name}: decoded at x {x:.1f}, y {y:.1f} px of the crop, score {score:.2f}, {away:.1f} px from the truth')
    heatmap, target = run(page, '''return ["viewer-heatmap", "viewer-target"].map((id) =>
        [...document.getElementById(id).data[0].z].map((row) => [...row]))''')
    columns, rows = entry['heatmap_size']
    assert np.shape(heatmap) == np.shape(target) == (rows, columns)
    row, column = np.unravel_index(np.argmax(target), (rows, columns))
    cell = np.array(entry['truth'][keypoint][:2]) * [columns, rows] / entry['size']
    assert [column, row] == np.floor(cell).tolist()
    assert np.max(target) == 1


def test_people_can_be_chosen_and_a_case_leads_to_its_person(page, made):
    case = made.content['viewer'][2]['id']
    run(page, 'document.querySelector(`tr[data-case="${arguments[0]}"]`).click()', case)
    run(page, 'document.getElementById("case-viewer").click()')
    assert find(page, '#viewer-person').get_attribute('value') == '2'
    crop = wait(lambda: run(page, '''const chart = document.getElementById("viewer-heatmap");
        return chart.layout && chart.layout.images[0].source'''))
    wait(lambda: run(page, 'return document.getElementById("viewer-heatmap").layout.images[0].source ==='
                     ' DATA.viewer[2].crop'))
    assert crop.startswith('data:image')


def emulate(page, width=1280, height=900, scheme='light', mobile=False):
    page.execute_cdp_cmd('Emulation.setDeviceMetricsOverride',
                         dict(width=width, height=height, deviceScaleFactor=1, mobile=mobile))
    page.execute_cdp_cmd('Emulation.setEmulatedMedia',
                         dict(features=[dict(name='prefers-color-scheme', value=scheme)]))


def test_dark_mode_reaches_the_charts(page):
    def colors():
        return run(page, '''const style = getComputedStyle(document.body);
            return [style.backgroundColor, style.color,
                    document.getElementById("chart-corrections").layout.font.color]''')

    light = colors()
    emulate(page, scheme='dark')
    wait(lambda: colors()[2] != light[2])
    ground, ink, _ = colors()
    assert sum(map(int, ground[4:-1].split(','))) < 150 < 600 < sum(map(int, ink[4:-1].split(',')))
    emulate(page)


def test_a_phone_scrolls_down_only(page, made):
    emulate(page, width=375, height=740, mobile=True)
    page.refresh()
    wait(lambda: run(page, 'return document.documentElement.dataset.ready') == 'yes')
    try:
        assert run(page, 'return document.documentElement.scrollWidth') <= 375
        wide = run(page, '''return [...document.querySelectorAll(".chart")].filter((chart) =>
            chart.getBoundingClientRect().right > 376).map((chart) => chart.id)''')
        assert wide == []
        run(page, 'document.querySelector("#table-cases tbody tr").click()')
        left, right = run(page, '''const box = document.getElementById("case").getBoundingClientRect();
            return [box.left, box.right]''')
        assert 0 <= left < right <= 375
    finally:
        emulate(page)
