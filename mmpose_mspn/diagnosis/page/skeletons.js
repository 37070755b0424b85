// As high as the picture needs at this width, and no higher than most of the screen.
function fit(id, [, , width, height]) {
  const element = by(id);
  element.style.height = `${Math.min((element.clientWidth * height) / width, 0.68 * window.innerHeight, 560)}px`;
}

const frame = (window_) => ({
  xaxis: { range: [window_[0], window_[0] + window_[2]], visible: false, fixedrange: false, constrain: 'domain' },
  yaxis: {
    range: [window_[1] + window_[3], window_[1]],
    visible: false,
    fixedrange: false,
    constrain: 'domain',
    scaleanchor: 'x',
  },
  margin: { l: 0, r: 0, t: 0, b: 0 },
});
const backdrop = (picture, window_) => ({
  source: picture,
  x: window_[0],
  y: window_[1],
  sizex: window_[2],
  sizey: window_[3],
  xref: 'x',
  yref: 'y',
  sizing: 'stretch',
  layer: 'below',
  xanchor: 'left',
  yanchor: 'top',
});

function limbs(points, shown) {
  const x = [];
  const y = [];
  for (const [start, end] of DATA.skeleton) {
    if (!shown(points[start]) || !shown(points[end])) continue;
    x.push(points[start][0], points[end][0], null);
    y.push(points[start][1], points[end][1], null);
  }
  return { x, y };
}

function skeletonTraces(record, truthShown, predictedShown) {
  const names = DATA.keypoint_names.map(text);
  const traces = [];
  if (record.truth) {
    const labeled = record.truth.map((point, index) => [point, index]).filter(([point]) => point[2] > 0);
    traces.push(
      {
        ...limbs(record.truth, (point) => point[2] > 0),
        mode: 'lines',
        line: { color: color('truth'), width: 2 },
        name: 'truth',
        hoverinfo: 'skip',
        visible: truthShown,
      },
      {
        x: labeled.map(([point]) => point[0]),
        y: labeled.map(([point]) => point[1]),
        mode: 'markers',
        name: 'truth',
        visible: truthShown,
        marker: { symbol: 'circle-open', size: 11, color: color('truth'), line: { width: 2.5 } },
        text: labeled.map(([, index]) => names[index]),
        hovertemplate: 'truth: %{text}<extra></extra>',
      },
    );
  }
  if (record.predicted) {
    const kinds = record.kinds || record.predicted.map(() => null);
    traces.push(
      {
        ...limbs(record.predicted, () => true),
        mode: 'lines',
        line: { color: 'rgba(255,255,255,.75)', width: 2 },
        name: 'prediction',
        hoverinfo: 'skip',
        visible: predictedShown,
      },
      {
        x: record.predicted.map((point) => point[0]),
        y: record.predicted.map((point) => point[1]),
        mode: 'markers',
        name: 'prediction',
        visible: predictedShown,
        marker: {
          size: 8,
          color: kinds.map((kind) => (kind ? color(kind) : '#c9ced8')),
          line: { color: '#000', width: 1 },
        },
        text: names.map((name, index) => name + (kinds[index] ? `, ${kinds[index]}` : '')),
        customdata: record.predicted.map((point) => point[2]),
        hovertemplate: '%{text}, score %{customdata:.2f}<extra></extra>',
      },
    );
  }
  return traces;
}
