// Draws the charts of a page from /series, once a second, and says when the dashboard itself does not answer.
"use strict";
(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const lost = document.getElementById("lost");
  const say = (status) => {
    if (!lost) return;
    lost.hidden = status !== null && status < 400;
    if (!lost.hidden) lost.textContent = status === null ? lost.dataset.silent : status === 401 ? lost.dataset.unknown : lost.dataset.failing;
  };
  document.addEventListener("htmx:error", () => say(null));
  document.addEventListener("htmx:after:request", (event) => say(event.detail.ctx.response.status));

  const figures = [...document.querySelectorAll("[data-chart]")];
  if (!figures.length || typeof uPlot === "undefined") return;
  const unit = { "/s": (v) => v >= 10 || v === 0 ? v.toFixed(0) : v.toFixed(1), s: (v) => v === 0 ? "0" : v >= 1 ? v.toFixed(1) + " s" : (v * 1000).toFixed(v < 0.01 ? 1 : 0) + " ms", "": (v) => String(Math.round(v * 100) / 100) };
  const charts = figures.map((figure) => {
    const names = figure.dataset.chart.split(" ");
    const labels = (figure.dataset.labels || figure.dataset.chart).split("|");
    const write = unit[figure.dataset.unit] || unit[""];
    const make = () => {
      const colors = ["--one", "--two", "--three", "--fail"].map(css);
      const axis = { font: "12px system-ui, sans-serif", stroke: css("--quiet"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false } };
      figure.replaceChildren();
      return new uPlot({
        width: figure.clientWidth || 320, height: 170,
        scales: { y: { range: (_, low, high) => [0, Math.max(high || 0, 1e-3) * 1.1] } },
        axes: [{ ...axis, size: 30, space: 70, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400], values: (_, all) => all.map((at) => new Date(at * 1000).toTimeString().slice(0, 8)) }, { ...axis, size: 62, values: (_, all) => all.map(write) }],
        series: [{ label: "at", value: (_, at) => at == null ? "" : new Date(at * 1000).toTimeString().slice(0, 8) }, ...names.map((name, index) => ({
          label: labels[index] || name, stroke: colors[index % colors.length], width: 1.6, dash: [[], [6, 3], [2, 3], [8, 2]][index % 4],
          points: { show: false }, value: (_, v) => v == null ? "–" : write(v) }))],
      }, [[], ...names.map(() => [])], figure);
    };
    return { figure, names, make, plot: make() };
  });
  const fit = () => charts.forEach((one) => one.plot.setSize({ width: one.figure.clientWidth, height: 170 }));
  addEventListener("resize", fit);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((one) => { one.plot.destroy(); one.plot = one.make(); }));

  const source = document.querySelector("[data-series]");
  let is_drawing = false;
  const draw = async () => {
    if (document.hidden || is_drawing) return;
    is_drawing = true;
    let status = null;
    try {
      const answer = await fetch(source.dataset.series, { cache: "no-store", signal: AbortSignal.timeout(4000) });
      status = answer.status;
      if (!answer.ok) throw new Error(String(status));
      const said = await answer.json();
      charts.forEach((one) => {
        const data = [said.at, ...one.names.map((name) => said.series[name] || said.at.map(() => null))];
        one.plot.setData(data);
        one.figure.dataset.points = String(said.at.length);
        const last = said.at.length - 1;
        if (last >= 0 && one.plot.cursor.idx == null) one.plot.setLegend({ idx: last });
        one.figure.setAttribute("aria-label", one.names.map((name) => `${name}: ${last < 0 || !said.series[name] || said.series[name][last] == null ? "nothing yet" : said.series[name][last]}`).join(", "));
      });
    } catch { status = status !== null && status < 400 ? 500 : status; }
    say(status);
    is_drawing = false;
  };
  draw();
  setInterval(draw, 1000);
})();
