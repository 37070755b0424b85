let opened = null;
function showCase(record) {
  opened = record;
  const number_ = (value, places) => (value === null || value === undefined ? '–' : value.toFixed(places));
  by('case-title').textContent = record.file;
  const facts = [];
  if (DATA.figure) facts.push(DATA.statuses[record.status], `OKS ${number_(record.oks, 3)}`);
  facts.push(`score ${number_(record.score, 3)}`);
  if (record.errors) facts.push(...ERRORS.map((kind) => `${kind} ${record.errors[kind]}`));
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
