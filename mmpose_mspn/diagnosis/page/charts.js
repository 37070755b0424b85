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
  by('chart-parts').style.height = `${Math.max(320, 70 + 24 * DATA.parts.length)}px`;
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
      // Plotly's own range of categories would leave a tenth of the height empty at both ends.
      yaxis: { range: [names.length - 0.5, -0.5] },
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
        y: rows.map((row) => `${text(row.name)} (${row.people})`),
        x: rows.map((row) => row[name]),
        hovertemplate: `%{y}: %{x:${hover}}<extra>${DATA.group_names[name] || name}</extra>`,
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
