// Draws the table of decisions as lines; without script the table stays.
"use strict";
for (const table of document.querySelectorAll("table[data-chart]")) {
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells]);
  if (rows.length < 2) continue;
  const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
  const times = rows.map((cells) => Date.parse(cells[0].textContent) / 1000);
  const data = [times, ...names.map((_, at) => rows.map((cells) => Number(cells[at + 1].textContent)))];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const lines = ["--good", "--bad", "--wait"].map(colour);
  const axis = { stroke: colour("--text"), grid: { stroke: colour("--line") } };
  const place = document.createElement("div");
  table.before(place);
  const chart = new uPlot(
    {
      width: place.clientWidth, height: 180, scales: { x: { time: true } }, axes: [axis, axis],
      series: [{}, ...names.map((label, at) => ({ label, stroke: lines[at % lines.length], width: 2 }))],
    },
    data, place,
  );
  addEventListener("resize", () => chart.setSize({ width: place.clientWidth, height: 180 }));
}
