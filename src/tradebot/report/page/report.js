// Draws the charts and makes the tables sortable. Numbers come from #run-data, colours from the stylesheet.
"use strict";
(function () {
  const run = JSON.parse(document.getElementById("run-data").textContent);
  const config = { responsive: true, displaylogo: false, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]] };
  const narrow = () => window.innerWidth < 620;

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  function axis(more) {
    return Object.assign({
      gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("grid"),
      tickfont: { color: colour("soft"), size: 12 }, automargin: true,
    }, more);
  }

  function layout(more) {
    return Object.assign({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
      margin: { l: 64, r: 12, t: 34, b: 34 },
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
      legend: { orientation: "h", x: 0, y: 1.0, yanchor: "bottom", font: { color: colour("ink") }, bgcolor: "rgba(0,0,0,0)" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("accent"), orientation: "h" },
      dragmode: "zoom",
    }, more);
  }

  function panelTitle(text, y) {
    return { text: text, xref: "paper", yref: "paper", x: 0, y: y, xanchor: "left", yanchor: "bottom", showarrow: false,
      font: { color: colour("soft"), size: 12 } };
  }

  function line(x, y, name, tint, more) {
    return Object.assign({ type: "scatter", mode: "lines", x: x, y: y, name: name,
      line: { color: colour(tint), width: 1.6 } }, more);
  }

  function drawEquity() {
    const e = run.equity, third = e.exposure || e.netExposure;
    const main = third ? [0.50, 1] : [0.36, 1], low = third ? [0.24, 0.42] : [0, 0.28];
    const traces = [];
    if (e.benchmark) {
      traces.push(line(e.t, e.benchmark, run.benchmark, "benchmark", { line: { color: colour("benchmark"), width: 1.2 } }));
    }
    traces.push(line(e.t, e.equity, "strategy", "accent"));
    if (e.benchmarkDrawdown) {
      traces.push(line(e.t, e.benchmarkDrawdown, run.benchmark + " drawdown", "benchmark",
        { yaxis: "y2", showlegend: false, line: { color: colour("benchmark"), width: 1 }, hovertemplate: "%{y:.2f} %" }));
    }
    traces.push(line(e.t, e.drawdown, "drawdown", "down", { yaxis: "y2", showlegend: false, fill: "tozeroy",
      fillcolor: "rgba(" + colour("down-rgb").split(" ").join(",") + ",0.18)",
      line: { color: colour("down"), width: 1.2 }, hovertemplate: "%{y:.2f} %" }));
    if (e.exposure) {
      traces.push(line(e.t, e.exposure, "gross exposure", "soft", { yaxis: "y3", showlegend: false,
        line: { color: colour("soft"), width: 1, shape: "hv" }, hovertemplate: "%{y:.1f} %" }));
    }
    if (e.netExposure) {
      traces.push(line(e.t, e.netExposure, "net exposure", "accent", { yaxis: "y3", showlegend: false,
        line: { color: colour("accent"), width: 1, shape: "hv" }, hovertemplate: "%{y:.1f} %" }));
    }
    const notes = [panelTitle("Drawdown, %", low[1])];
    if (third) { notes.push(panelTitle(e.netExposure ? "Exposure, % of equity (net in blue)" : "Exposure, % of equity", 0.16)); }
    const shape = layout({
      hovermode: "x unified", hoversubplots: "axis", annotations: notes,
      xaxis: axis({ type: "date", anchor: third ? "y3" : "y2", nticks: narrow() ? 4 : 9 }),
      yaxis: axis({ domain: main, title: { text: narrow() ? "" : "Equity, " + run.currency, standoff: 14, font: { color: colour("soft") } }, tickformat: ",.6~g" }),
      yaxis2: axis({ domain: low, nticks: 4, rangemode: "tozero" }),
    });
    if (third) { shape.yaxis3 = axis({ domain: [0, 0.16], nticks: 4, rangemode: "tozero" }); }
    return Plotly.react("equity-chart", traces, shape, config);
  }

  // Candles stand side by side by number, so nights, weekends and gaps take no room; the ticks say when.
  function stamp(ms, daily) {
    const text = new Date(ms).toISOString();
    return daily ? text.slice(0, 10) : text.slice(0, 19).replace("T", " ");
  }

  function tickStamp(ms, daily, width) {
    const text = new Date(ms).toISOString().replace("T", " ");
    if (daily || width > 20 * 86400000) { return text.slice(0, 10); }
    return width < 7200000 ? text.slice(11, 19) : text.slice(5, 16);
  }

  function ticks(p, from, to) {
    const first = Math.max(0, Math.ceil(from)), last = Math.min(p.t.length - 1, Math.floor(to));
    const count = Math.max(1, Math.min(narrow() ? 3 : 8, last - first));
    const at = [];
    for (let k = 0; k <= count; k++) { at.push(Math.round(first + (last - first) * k / count)); }
    const places = at.filter(function (v, k) { return at.indexOf(v) === k; });
    const width = p.t[last] - p.t[first];
    return { tickvals: places, ticktext: places.map(function (k) { return tickStamp(p.t[k], p.daily, width); }) };
  }

  // The price axis follows what is in view, with a little air above and below.
  function heights(p, from, to) {
    let low = Infinity, high = -Infinity;
    for (let k = Math.max(0, Math.ceil(from)); k <= Math.min(p.t.length - 1, Math.floor(to)); k++) {
      low = Math.min(low, p.low[k]);
      high = Math.max(high, p.high[k]);
    }
    const air = (high - low) * 0.06 || Math.abs(high) * 0.01;
    return low > high ? undefined : [low - air, high + air];
  }

  // Many markers in view are drawn smaller, so that they do not hide the prices.
  function sizes(p, side, from, to) {
    const inView = function (x) { return x >= from && x <= to; };
    const small = p.buys.x.filter(inView).length + p.sells.x.filter(inView).length > 120 ? 0.7 : 1.1;
    return p[side].size.map(function (s) { return s * small; });
  }

  function fillTrace(p, side, name, tint, symbol) {
    const m = p[side];
    return { type: "scatter", mode: "markers", name: name, x: m.x, y: m.y, text: m.text,
      hovertemplate: "%{text}<extra></extra>",
      marker: { symbol: symbol, size: sizes(p, side, 0, p.t.length), color: colour(tint),
        line: { width: m.assumed.map(function (a) { return a ? 1.6 : 0.7; }),
          color: m.assumed.map(function (a) { return colour(a ? "warn" : "card"); }) } } };
  }

  function priceLayout(p, from, to) {
    return layout({
      hovermode: "closest", showlegend: true,
      xaxis: axis(Object.assign({ type: "linear", range: [from, to], rangeslider: { visible: false }, tickmode: "array" },
        ticks(p, from, to))),
      yaxis: axis({ tickformat: ",.8~g", range: heights(p, from, to) }),
    });
  }

  let chosen = 0;
  function drawPrices() {
    const div = document.getElementById("price-chart");
    if (!div || !run.prices.length) { return Promise.resolve(); }
    const p = run.prices[chosen], numbers = p.t.map(function (_, k) { return k; });
    const candles = { type: "candlestick", name: p.label, x: numbers, open: p.open, high: p.high, low: p.low, close: p.close,
      showlegend: false, hoverinfo: "text",
      increasing: { line: { color: colour("up"), width: 1 } }, decreasing: { line: { color: colour("down"), width: 1 } } };
    candles.hovertext = p.t.map(function (ms, k) {
      return stamp(ms, p.daily) + "<br>open " + p.open[k] + "<br>high " + p.high[k] + "<br>low " + p.low[k] + "<br>close " + p.close[k];
    });
    const traces = [candles, fillTrace(p, "buys", "buy", "accent", "triangle-up"), fillTrace(p, "sells", "sell", "sell", "triangle-down")];
    document.getElementById("price-note").textContent = p.t.length + " candles of " + p.span + ", " + p.fills +
      " fills; fills of one side inside a candle share a marker at their average price, larger when more.";
    div.dataset.candles = p.t.length;
    div.dataset.markers = p.buys.x.length + p.sells.x.length;
    const whole = [-0.5, p.t.length - 0.5];
    return Plotly.react(div, traces, priceLayout(p, whole[0], whole[1]), config).then(function () {
      div.removeAllListeners("plotly_relayout");
      div.on("plotly_relayout", function (change) {
        const reset = change["xaxis.autorange"] === true;
        const from = reset ? whole[0] : change["xaxis.range[0]"], to = reset ? whole[1] : change["xaxis.range[1]"];
        if (from === undefined) { return; }
        const t = ticks(p, from, to);
        const update = { "xaxis.tickvals": t.tickvals, "xaxis.ticktext": t.ticktext };
        if (reset) { update["xaxis.range"] = whole; }
        if (change["yaxis.range[0]"] === undefined) { update["yaxis.range"] = heights(p, from, to); }
        Plotly.update(div, { "marker.size": [sizes(p, "buys", from, to), sizes(p, "sells", from, to)] }, update, [1, 2]);
      });
    });
  }

  function cellValue(row, column) {
    const cell = row.cells[column], raw = cell.dataset.v;
    if (raw === undefined) { return cell.textContent; }
    return raw === "" ? null : Number(raw);
  }

  function sortBy(table, column, head) {
    const up = head.getAttribute("aria-sort") !== "ascending";
    table.querySelectorAll("th[aria-sort]").forEach(function (h) { h.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0], rows = Array.from(body.rows);
    rows.sort(function (a, b) {
      const x = cellValue(a, column), y = cellValue(b, column);
      if (x === null || y === null) { return (x === null) - (y === null); }
      const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
      return up ? order : -order;
    });
    body.append.apply(body, rows);
  }

  document.querySelectorAll("table.sortable").forEach(function (table) {
    Array.from(table.tHead.rows[0].cells).forEach(function (head, column) {
      head.tabIndex = 0;
      head.addEventListener("click", function () { sortBy(table, column, head); });
      head.addEventListener("keydown", function (key) { if (key.key === "Enter") { sortBy(table, column, head); } });
    });
  });

  const select = document.getElementById("instrument");
  if (select) { select.addEventListener("change", function () { chosen = Number(select.value); drawPrices(); }); }
  function drawAll() {
    return Promise.all([drawEquity(), drawPrices()]).then(function () { document.documentElement.dataset.drawn = "yes"; });
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
