const sheets = new Map();
// The gray values of a sheet of tiles, read once.
function sheet(source) {
  if (!sheets.has(source)) {
    sheets.set(
      source,
      new Promise((resolve, reject) => {
        const image = new Image();
        image.onload = () => {
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
          const context = canvas.getContext('2d', { willReadFrequently: true });
          context.drawImage(image, 0, 0);
          resolve({ pixels: context.getImageData(0, 0, canvas.width, canvas.height).data, width: canvas.width });
        };
        image.onerror = () => reject(new Error('the heatmaps do not open'));
        image.src = source;
      }),
    );
  }
  return sheets.get(source);
}

// The map (rows of shares of a peak) of one row of tiles; keypoint -1: the highest of all keypoints.
async function heatmap(source, [columns, rows], tileRow, keypoint) {
  const { pixels, width } = await sheet(source);
  const tiles = keypoint >= 0 ? [keypoint] : DATA.keypoint_names.map((_, index) => index);
  return Array.from({ length: rows }, (_, y) =>
    Array.from(
      { length: columns },
      (__, x) =>
        Math.max(...tiles.map((tile) => pixels[4 * ((tileRow * rows + y) * width + tile * columns + x)])) / 255,
    ),
  );
}

function drawMap(id, title, entry, map, marks) {
  const [width, height] = entry.size;
  by(`${id}-title`).textContent = title;
  fit(id, [0, 0, width, height]);
  const [columns, rows] = entry.heatmap_size;
  const traces = map
    ? [
        {
          type: 'heatmap',
          z: map,
          x0: width / columns / 2,
          dx: width / columns,
          y0: height / rows / 2,
          dy: height / rows,
          zmin: 0,
          zmax: 1,
          zsmooth: 'best',
          showscale: false,
          hoverinfo: 'skip',
          colorscale: [
            [0, 'rgba(10,10,60,.25)'],
            [0.15, 'rgba(60,40,200,.45)'],
            [0.4, 'rgba(220,40,90,.65)'],
            [0.7, 'rgba(255,160,40,.8)'],
            [1, 'rgba(255,255,190,.95)'],
          ],
        },
      ]
    : [];
  return Plotly.react(
    id,
    [...traces, ...marks],
    layout('', {
      ...frame([0, 0, width, height]),
      showlegend: false,
      images: [backdrop(entry.crop, [0, 0, width, height])],
    }),
    { responsive: true, displaylogo: false, displayModeBar: false },
  );
}

let viewing = 0;
async function drawViewer() {
  const turn = ++viewing;
  const entry = DATA.viewer[Number(by('viewer-person').value)];
  const stages = Math.max(...entry.predictors.map((predictor) => predictor.stages));
  const stage = Math.min(Number(by('viewer-stage').value), stages);
  const units = entry.predictors.filter((predictor) => predictor.stages === stage).length;
  by('viewer-stage').max = stages;
  by('viewer-unit').max = units;
  by('viewer-keypoint').max = DATA.keypoint_names.length;
  const unit = Math.min(Number(by('viewer-unit').value), units);
  const keypoint = Number(by('viewer-keypoint').value) - 1;
  const place = entry.predictors.findIndex((predictor) => predictor.stages === stage && predictor.unit === unit);
  const predictor = entry.predictors[place];
  by('viewer-stage-name').textContent = `${stage} of ${stages}`;
  by('viewer-unit-name').textContent = `${unit} of ${units}`;
  by('viewer-keypoint-name').textContent = keypoint < 0 ? 'all' : DATA.keypoint_names[keypoint];
  const chosen = keypoint < 0 ? DATA.keypoint_names.map((_, index) => index) : [keypoint];
  const labeled = chosen.filter((index) => entry.truth && entry.truth[index][2] > 0);
  const names = DATA.keypoint_names.map(text);
  const truth = {
    x: labeled.map((index) => entry.truth[index][0]),
    y: labeled.map((index) => entry.truth[index][1]),
    mode: 'markers',
    marker: { symbol: 'circle-open', size: 13, color: '#5dffb0', line: { width: 2.5 } },
    text: labeled.map((index) => names[index]),
    hovertemplate: 'truth: %{text}<extra></extra>',
  };
  const decoded = {
    x: chosen.map((index) => predictor.points[index][0]),
    y: chosen.map((index) => predictor.points[index][1]),
    mode: 'markers',
    marker: { symbol: 'x', size: 9, color: '#fff', line: { color: '#000', width: 1 } },
    text: chosen.map((index) => names[index]),
    customdata: chosen.map((index) => predictor.points[index][2]),
    hovertemplate: 'decoded: %{text}, score %{customdata:.2f}<extra></extra>',
  };
  const point = keypoint < 0 ? null : predictor.points[keypoint];
  by('viewer-readout').textContent =
    point === null
      ? 'All keypoints: the highest of their heatmaps.'
      : `${DATA.keypoint_names[keypoint]}: decoded at x ${point[0].toFixed(1)}, y ${point[1].toFixed(1)} px of the crop, score ${point[2].toFixed(2)}` +
        (point[3] === null ? (entry.truth ? ', not labeled' : '') : `, ${point[3].toFixed(1)} px from the truth`);
  const hasTarget = entry.targets !== null && predictor.target !== null;
  const maps = await Promise.all([
    heatmap(entry.heatmaps, entry.heatmap_size, place, keypoint),
    hasTarget ? heatmap(entry.targets, entry.heatmap_size, predictor.target, keypoint) : null,
  ]);
  if (turn !== viewing) return; // the sliders have moved on
  await drawMap('viewer-heatmap', 'Heatmap', entry, maps[0], [truth, decoded]);
  await drawMap('viewer-target', hasTarget ? 'Target' : 'Crop', entry, maps[1], [truth]);
  by('viewer').dataset.drawn = `${stage}.${unit}.${keypoint}`;
}

function prepareViewer() {
  const first = DATA.viewer[0].predictors;
  const last = first[first.length - 1];
  for (const [id, value] of [
    ['viewer-stage', last.stages],
    ['viewer-unit', last.unit],
    ['viewer-keypoint', 0],
  ]) {
    by(id).max = id === 'viewer-keypoint' ? DATA.keypoint_names.length : value;
    by(id).value = value;
  }
  by('viewer-person').addEventListener('change', drawViewer);
  for (const id of ['viewer-stage', 'viewer-unit', 'viewer-keypoint']) by(id).addEventListener('input', drawViewer);
  drawers.push(drawViewer);
  drawViewer();
}
