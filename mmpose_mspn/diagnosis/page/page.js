'use strict';
// Numbers and pictures come from the page's data block, which holds what diagnosis.json holds. Nothing is fetched.
const DATA = JSON.parse(document.getElementById('data').textContent);
const KINDS = ['good', 'jitter', 'inversion', 'swap', 'miss'];
const ERRORS = KINDS.slice(1);
const NARROW = window.matchMedia('(max-width: 700px)');
const DARK = window.matchMedia('(prefers-color-scheme: dark)');
const by = (id) => document.getElementById(id);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
// Plotly reads tags and entities in labels; names are text.
const text = (name) => String(name).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
const figureName = DATA.figure ? DATA.figure.name : '';
const digits = figureName === 'AP' ? 3 : 1;
const hover = `.${digits}f`;

// ---------------------------------------------------------------- charts

function layout(title, changes = {}) {
  const axis = {
    gridcolor: color('line'),
    zerolinecolor: color('soft'),
    linecolor: color('line'),
    automargin: true,
    fixedrange: true,
    title: { font: { size: 12 } },
  };
  const { xaxis = {}, yaxis = {}, margin = {}, legend = false, ...others } = changes;
  const below = (legend ? 34 : 0) + (xaxis.title ? 46 : 28);
  return {
    title: { text: title, font: { size: 14 }, x: 0.01, xref: 'container', xanchor: 'left', y: 0.98, yanchor: 'top' },
    font: { color: color('ink'), family: 'system-ui, sans-serif', size: 12 },
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    dragmode: false,
    margin: { l: 8, r: 12, t: title ? 34 : 0, b: below, ...margin },
    showlegend: legend,
    hoverlabel: { namelength: -1 },
    legend: { orientation: 'h', yref: 'container', y: 0.01, yanchor: 'bottom', x: 0, traceorder: 'normal' },
    colorway: ['accent', 'inversion', 'good', 'swap', 'jitter', 'miss'].map(color),
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, ...yaxis },
    ...others,
  };
}

const drawers = [];
function chart(element, make) {
  const target = typeof element === 'string' ? by(element) : element;
  if (!target) return;
  const draw = () => {
    const { data, layout: arrangement } = make();
    return Plotly.react(target, data, arrangement, { responsive: true, displaylogo: false, displayModeBar: false });
  };
  drawers.push(draw);
  draw();
}

function bars(names, values, title, options = {}) {
  const labels = values.map((value) =>
    value === null ? '–' : (value > 0 && options.signed ? '+' : '') + value.toFixed(digits),
  );
  return {
    data: [
      {
        type: 'bar',
        orientation: 'h',
        y: names.map(text),
        x: values,
        text: labels,
        textposition: 'auto',
        cliponaxis: false,
        marker: { color: options.colors || color('accent') },
        hovertext: options.hover,
        hovertemplate: options.hover ? '%{hovertext}<extra></extra>' : `%{y}: %{x:${hover}}<extra></extra>`,
      },
    ],
    layout: layout(title, { yaxis: { autorange: 'reversed' }, xaxis: { range: options.range } }),
  };
}

function drawErrors() {
  const rows = DATA.corrections;
  chart('chart-corrections', () =>
    bars(
      rows.map((row) => row.name),
      rows.map((row) => row.gain),
      `${figureName} gained by correcting …`,
      {
        signed: true,
        colors: rows.map((row) => color(ERRORS.includes(row.name) ? row.name : 'accent')),
        hover: rows.map(
          (row) =>
            `${text(row.name)}: ${row.count} ${row.of}, ${figureName} ${row.value === null ? '–' : row.value.toFixed(digits)}`,
        ),
      },
    ),
  );
  const columns = [...ERRORS, 'all'];
  chart('chart-parts', () => ({
    data: [
      {
        type: 'heatmap',
        x: columns,
        y: DATA.parts.map((part) => text(part.name)),
        z: DATA.parts.map((part) => columns.map((kind) => part.gains[kind])),
        colorscale: [
          [0, color('card')],
          [1, color('miss')],
        ],
        zmin: 0,
        xgap: 2,
        ygap: 2,
        texttemplate: `%{z:${hover}}`,
        hovertemplate: `%{y}, %{x}: +%{z:${hover}}<extra></extra>`,
        showscale: false,
      },
    ],
    layout: layout(`${figureName} gained, by part and kind`, {
      yaxis: { autorange: 'reversed', showgrid: false },
      xaxis: { showgrid: false },
    }),
  }));
}

function drawKeypoints() {
  const names = DATA.keypoints.map((row) => text(row.name));
  const height = Math.max(NARROW.matches ? 430 : 460, 60 + 21 * names.length);
  for (const id of ['chart-kinds', 'chart-similarity']) by(id).style.height = `${height}px`;
  chart('chart-kinds', () => ({
    data: KINDS.map((kind) => ({
      type: 'bar',
      orientation: 'h',
      name: kind,
      y: names,
      x: DATA.keypoints.map((row) => row.shares[kind]),
      customdata: DATA.keypoints.map((row) => row[kind]),
      marker: { color: color(kind) },
      hovertemplate: `%{y}, ${kind}: %{customdata} (%{x:.1%})<extra></extra>`,
    })),
    layout: layout('Kinds of errors, people who were found', {
      legend: true,
      barmode: 'stack',
      yaxis: { autorange: 'reversed' },
      xaxis: { tickformat: '.0%', range: [0, 1] },
    }),
  }));
  const shares = Object.keys(DATA.keypoints[0].pck);
  const series = [
    ['similarity', (row) => row.similarity],
    ...shares.map((share) => [`${DATA.pck_name}@${share}`, (row) => row.pck[share]]),
  ];
  chart('chart-similarity', () => ({
    data: series.map(([name, value]) => ({
      type: 'scatter',
      mode: 'markers',
      name,
      y: names,
      x: DATA.keypoints.map(value),
      marker: { size: 9 },
      hovertemplate: `%{y}, ${name}: %{x:.3f}<extra></extra>`,
    })),
    layout: layout(`Similarity (OKS) and ${DATA.pck_name}`, {
      legend: true,
      yaxis: { autorange: 'reversed' },
      xaxis: { range: [0, 1.02] },
    }),
  }));
}

function drawGroups() {
  for (const element of document.querySelectorAll('[data-group]')) {
    const kind = element.dataset.group;
    const rows = DATA.groups[kind];
    const names = Object.keys(rows[0]).filter((name) => name !== 'name' && name !== 'people');
    const shown = names.includes('ap') ? ['ap', 'ar'] : names;
    element.style.height = `${Math.max(250, 110 + 34 * rows.length)}px`;
    chart(element, () => ({
      data: shown.map((name) => ({
        type: 'bar',
        orientation: 'h',
        name: DATA.group_names[name] || name,
        y: rows.map((row) => text(row.name)),
        x: rows.map((row) => row[name]),
        customdata: rows.map((row) => row.people),
        hovertemplate: `%{y} (%{customdata} people): %{x:${hover}}<extra>${DATA.group_names[name] || name}</extra>`,
      })),
      layout: layout(`By ${kind}`, {
        legend: true,
        barmode: 'group',
        yaxis: { autorange: 'reversed' },
        xaxis: { range: figureName === 'AP' ? [0, 1] : [0, 100] },
      }),
    }));
  }
}

function drawScores() {
  for (const [id, kind, title] of [
    ['chart-scores-people', 'people', 'People: OKS by score'],
    ['chart-scores-keypoints', 'keypoints', 'Keypoints: similarity by score'],
  ]) {
    const bins = DATA.calibration[kind].bins;
    chart(id, () => ({
      data: [
        {
          type: 'scatter',
          mode: 'lines+markers',
          x: bins.map((bin) => bin.score),
          y: bins.map((bin) => bin.similarity),
          customdata: bins.map((bin) => [bin.count, bin.score_from, bin.score_to]),
          marker: { size: 8 },
          hovertemplate:
            'score %{customdata[1]:.3f} to %{customdata[2]:.3f}: %{y:.3f} (%{customdata[0]})<extra></extra>',
        },
      ],
      layout: layout(title, {
        xaxis: { title: { text: 'mean score', font: { size: 12 } } },
        yaxis: { range: [0, 1.02] },
      }),
    }));
  }
}

function drawStages() {
  const rows = DATA.stages;
  const timed = rows.every((row) => row.milliseconds !== null);
  const label = (row) => `${row.stages}.${row.unit}`;
  const stages = [...new Set(rows.map((row) => row.stages))];
  chart('chart-stages', () => ({
    data: [
      { rows: rows.filter((row) => !row.last_unit), name: 'other units', size: 7, color: 'jitter', mode: 'markers' },
      {
        rows: rows.filter((row) => row.last_unit),
        name: 'last unit of a stage',
        size: 12,
        color: 'accent',
        mode: 'lines+markers+text',
      },
    ].map((group) => ({
      type: 'scatter',
      mode: group.mode,
      name: group.name,
      x: group.rows.map((row) => (timed ? row.milliseconds : label(row))),
      y: group.rows.map((row) => row.figure),
      text: group.rows.map((row) => (row.stages === 1 ? '1 stage' : `${row.stages} stages`)),
      textposition: 'bottom center',
      customdata: group.rows.map(label),
      marker: { size: group.size, color: color(group.color) },
      line: { color: color('accent') },
      hovertemplate: `stage.unit %{customdata}: ${figureName} %{y:${hover}}<extra></extra>`,
    })),
    layout: layout(timed ? `${figureName} against time` : `${figureName} by stage and unit`, {
      legend: true,
      xaxis: {
        title: { text: timed ? 'ms a person' : 'stage.unit', font: { size: 12 } },
        type: timed ? 'linear' : 'category',
      },
      yaxis: { rangemode: 'tozero' },
    }),
  }));
  chart('chart-movement', () => ({
    data: stages.map((stage) => {
      const here = rows.filter((row) => row.stages === stage);
      return {
        type: 'bar',
        name: `stage ${stage}`,
        x: here.map(label),
        y: here.map((row) => row.movement),
        hovertemplate: 'stage.unit %{x}: %{y:.2f} px<extra></extra>',
      };
    }),
    layout: layout('Mean movement since the predictor before, px', {
      legend: true,
      xaxis: { type: 'category', title: { text: 'stage.unit', font: { size: 12 } } },
    }),
  }));
  const last = rows.filter((row) => row.last_unit);
  chart('chart-stage-kinds', () => ({
    data: KINDS.map((kind) => ({
      type: 'bar',
      orientation: 'h',
      name: kind,
      y: last.map((row) => (row.stages === 1 ? '1 stage' : `${row.stages} stages`)),
      x: last.map((row) => row.shares[kind]),
      customdata: last.map((row) => row.errors[kind]),
      marker: { color: color(kind) },
      hovertemplate: `%{y}, ${kind}: %{customdata} (%{x:.1%})<extra></extra>`,
    })),
    layout: layout('Kinds of errors after each stage', {
      legend: true,
      barmode: 'stack',
      yaxis: { autorange: 'reversed' },
      xaxis: { tickformat: '.0%', range: [0, 1] },
    }),
  }));
}

function drawCurves() {
  const names = Object.keys(DATA.curves);
  const lines = (chosen, right = () => false) =>
    chosen.map((name) => ({
      type: 'scatter',
      mode: DATA.curves[name].step.length > 2 ? 'lines' : 'markers',
      name: text(name),
      x: DATA.curves[name].step,
      y: DATA.curves[name].value,
      yaxis: right(name) ? 'y2' : 'y',
      hovertemplate: `step %{x}: %{y:.5g}<extra>${text(name)}</extra>`,
    }));
  const losses = names.filter((name) => name.includes('loss'));
  const others = names.filter((name) => !name.includes('loss'));
  chart('chart-losses', () => ({
    data: lines(losses),
    layout: layout('Losses', {
      legend: true,
      xaxis: { title: { text: 'step', font: { size: 12 } } },
      yaxis: { type: 'log' },
    }),
  }));
  chart('chart-accuracy', () => ({
    data: lines(others, (name) => name === 'lr'),
    layout: layout('Accuracy, metrics and learning rate (right)', {
      legend: true,
      xaxis: { title: { text: 'step', font: { size: 12 } } },
      yaxis2: {
        overlaying: 'y',
        side: 'right',
        automargin: true,
        fixedrange: true,
        showgrid: false,
        tickformat: '.0e',
      },
    }),
  }));
}

function drawCompare() {
  const height = Math.max(460, 110 + (12 + 7 * DATA.compare.length) * DATA.keypoints.length);
  by('chart-compare-keypoints').style.height = `${height}px`;
  chart('chart-compare-corrections', () => ({
    data: DATA.compare.map((row) => ({
      type: 'bar',
      orientation: 'h',
      name: text(row.name),
      y: row.corrections.map((entry) => entry.name),
      x: row.corrections.map((entry) => entry.gain),
      hovertemplate: `%{y}: %{x:+${hover}}<extra>${text(row.name)}</extra>`,
    })),
    layout: layout(`${figureName} gained by correcting …`, {
      legend: true,
      barmode: 'group',
      yaxis: { autorange: 'reversed' },
    }),
  }));
  chart('chart-compare-keypoints', () => ({
    data: DATA.compare.map((row) => ({
      type: 'bar',
      orientation: 'h',
      name: text(row.name),
      y: row.keypoints.map((entry) => text(entry.name)),
      x: row.keypoints.map((entry) => entry.similarity),
      hovertemplate: `%{y}: %{x:.3f}<extra>${text(row.name)}</extra>`,
    })),
    layout: layout('Similarity (OKS) by keypoint', {
      legend: true,
      barmode: 'group',
      yaxis: { autorange: 'reversed' },
      xaxis: { range: [0, 1] },
    }),
  }));
}

// ---------------------------------------------------------------- tables

function sortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = heading.querySelector('button');
    if (!button) return;
    button.addEventListener('click', () => {
      const down = heading.classList.contains('number')
        ? heading.getAttribute('aria-sort') !== 'descending'
        : heading.getAttribute('aria-sort') === 'ascending';
      for (const other of headings) if (other.hasAttribute('aria-sort')) other.setAttribute('aria-sort', 'none');
      heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const value = (row) => {
        const cell = row.cells[column];
        if (!heading.classList.contains('number')) return cell.textContent.trim();
        return cell.dataset.value === '' ? null : Number(cell.dataset.value);
      };
      const compare = (one, other) => {
        const [a, b] = [value(one), value(other)];
        if (a === null || b === null) return (a === null) - (b === null); // what does not apply goes last
        const order = typeof a === 'string' ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
        return down ? -order : order;
      };
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort(compare));
    });
  });
}

// ---------------------------------------------------------------- pictures of people

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

let opened = null;
function showCase(record) {
  opened = record;
  const number_ = (value, places) => (value === null || value === undefined ? '–' : value.toFixed(places));
  by('case-title').textContent = record.file;
  const facts = [];
  if (DATA.figure) facts.push(record.status, `OKS ${number_(record.oks, 3)}`);
  facts.push(`score ${number_(record.score, 3)}`);
  if (record.errors) facts.push(...ERRORS.map((kind) => `${record.errors[kind]} ${kind}`));
  if (record.person !== null && record.person !== undefined) facts.push(`annotation ${record.person}`);
  by('case-facts').textContent = facts.join(' · ');
  by('case-truth-label').hidden = !record.truth;
  by('case-viewer').hidden = !(DATA.viewer || []).some((entry) => entry.id === record.id);
  const body = by('case-keypoints').tBodies[0];
  body.replaceChildren(
    ...DATA.keypoint_names.map((name, index) => {
      const row = document.createElement('tr');
      const add = (content, kind) => {
        const cell = row.insertCell();
        cell.textContent = content;
        if (kind) cell.className = kind;
        return cell;
      };
      add(name);
      const kind = record.kinds ? record.kinds[index] : null;
      if (DATA.figure) {
        const cell = add(kind || (record.truth && !(record.truth[index][2] > 0) ? 'not labeled' : '–'));
        if (kind) {
          const dot = document.createElement('span');
          dot.className = 'dot';
          dot.style.background = color(kind);
          cell.prepend(dot);
        }
        add(number_(record.similarity ? record.similarity[index] : null, 3), 'number');
      }
      add(number_(record.predicted ? record.predicted[index][2] : null, 2), 'number');
      return row;
    }),
  );
  for (const cell of document.querySelectorAll('.case-error')) cell.hidden = !DATA.figure;
  if (!by('case').open) by('case').showModal();
  drawCase();
}

function drawCase() {
  const picture = DATA.pictures[opened.id];
  by('case-picture').hidden = !picture;
  if (!picture) return;
  fit('case-picture', picture.window);
  const traces = skeletonTraces(opened, by('case-truth').checked, by('case-predicted').checked);
  Plotly.react(
    'case-picture',
    traces,
    layout('', {
      ...frame(picture.window),
      dragmode: NARROW.matches ? false : 'pan',
      images: [backdrop(picture.picture, picture.window)],
    }),
    { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: !NARROW.matches },
  );
}

function prepareCases() {
  const records = new Map(DATA.cases.map((record) => [record.id, record]));
  for (const row of document.querySelectorAll('#table-cases tbody tr')) {
    const record = records.get(row.dataset.case);
    const picture = DATA.pictures[record.id];
    if (picture) row.querySelector('img').src = picture.picture;
    else row.querySelector('img').remove();
    row.addEventListener('click', () => showCase(record));
  }
  for (const id of ['case-truth', 'case-predicted']) by(id).addEventListener('change', drawCase);
  by('case').addEventListener('click', (event) => {
    if (event.target === by('case')) by('case').close();
  });
  by('case-viewer').addEventListener('click', () => {
    by('case').close();
    by('viewer-person').value = String(DATA.viewer.findIndex((entry) => entry.id === opened.id));
    by('viewer-person').dispatchEvent(new Event('change'));
    by('viewer').scrollIntoView();
  });
}

// ---------------------------------------------------------------- inside the network

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

// ---------------------------------------------------------------- all of it

if (DATA.corrections) {
  drawErrors();
  drawKeypoints();
  drawGroups();
  drawScores();
}
if (DATA.stages) drawStages();
if (DATA.curves) drawCurves();
if (DATA.compare) drawCompare();
for (const table of document.querySelectorAll('table.sortable')) sortable(table);
prepareCases();
if (DATA.viewer) prepareViewer();
DARK.addEventListener('change', () => {
  for (const draw of drawers) draw();
  if (by('case').open) drawCase();
});
document.documentElement.dataset.ready = 'yes';
