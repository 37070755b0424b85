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
    title: {
      text: title,
      font: { size: 14 },
      x: 0.01,
      xref: 'container',
      xanchor: 'left',
      y: 1,
      yanchor: 'top',
      pad: { t: 10 },
    },
    font: { color: color('ink'), family: 'system-ui, sans-serif', size: 12 },
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    dragmode: false,
    margin: { l: 8, r: 22, t: title ? 34 : 0, b: below, ...margin },
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
