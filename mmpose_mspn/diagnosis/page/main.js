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
