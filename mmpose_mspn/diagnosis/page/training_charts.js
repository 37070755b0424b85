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
        rangemode: 'tozero',
        tickformat: '.1e',
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
