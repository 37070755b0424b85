"""Curves from the logs of mmengine's runner."""
import json

from mmpose_mspn.diagnosis.curves import MOST_POINTS, find_logs, read_curves


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
