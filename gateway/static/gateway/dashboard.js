// The dashboard's live parts: countdowns, the spend chart, and what happens around htmx's refreshes.
// Server-rendered HTML stays the source of every number; this file only draws, counts down and announces.
(() => {
  "use strict";

  // Told apart in light and dark and by people who don't see red and green alike (after Okabe and Ito); neither red
  // nor green, which mean bad and good. Names choose their place (gateway/dashboard/charts.py); the last is the others'.
  const SERIES_COLORS = [
    "#3b5bdb", "#e69f00", "#2aa5dc", "#cc79a7", "#b9a60f", "#9c6ade", "#13a0a8", "#7c5cff", "#a0694b", "#5c7cfa",
    "#0b7285", "#c2569b", "#7a8594",
  ];

  const byId = (id) => document.getElementById(id);

  // Countdowns run on the server's clock: the visitor's may be wrong.

  let clockOffsetMs = 0;

  function readServerClock() {
    const strip = document.querySelector("[data-now]");
    if (strip) clockOffsetMs = Date.parse(strip.dataset.now) - Date.now();
  }

  function countdownWords(remainingMs) {
    const seconds = Math.ceil(remainingMs / 1000);
    if (seconds <= 0) return "with the next request";
    if (seconds < 60) return `in ${seconds} s`;
    return `in ${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  }

  function tickCountdowns() {
    for (const element of document.querySelectorAll("[data-countdown]")) {
      const words = countdownWords(Date.parse(element.dateTime) - Date.now() - clockOffsetMs);
      if (element.textContent !== words) element.textContent = words;
    }
  }

  // The spend chart: bars stacked by name.

  let chart = null;

  function themeColor(lightName, darkName) {
    const dark = document.documentElement.classList.contains("dark");
    return getComputedStyle(document.documentElement).getPropertyValue(dark ? darkName : lightName).trim();
  }

  function seriesOf(data) {
    return data.series.map((one) => ({
      label: one.name,
      data: one.values.map(Number),
      backgroundColor: SERIES_COLORS[one.color],
      borderRadius: 2,
      maxBarThickness: 28,
      categoryPercentage: 0.85,
      barPercentage: 1,
    }));
  }

  function dollars(value) {
    if (value === 0) return "$0";
    return "$" + (value >= 0.1 ? value.toFixed(2) : value.toPrecision(3).replace(/0+$/, ""));
  }

  function chartOptions() {
    const text = themeColor("--color-base-600", "--color-base-300");
    const line = themeColor("--color-base-200", "--color-base-800");
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { stacked: true, grid: { display: false }, border: { color: line }, ticks: { color: text, maxRotation: 0, autoSkipPadding: 16 } },
        y: { stacked: true, beginAtZero: true, grid: { color: line }, border: { display: false }, ticks: { color: text, maxTicksLimit: 6, callback: dollars } },
      },
      plugins: {
        legend: { display: false },
        tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${dollars(item.parsed.y)}` } },
      },
    };
  }

  function drawLegend(data) {
    const items = data.series.map((one) => {
      const item = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.className = "lo-swatch";
      swatch.style.backgroundColor = SERIES_COLORS[one.color];
      const words = document.createElement(one.href ? "a" : "span");
      if (one.href) words.href = one.href;
      words.textContent = `${one.name} ${one.total}`;
      item.append(swatch, words);
      return item;
    });
    byId("spend-legend").replaceChildren(...items);
  }

  function drawChart() {
    const source = byId("spend-data");
    const canvas = byId("spend-chart");
    if (!source || !canvas) return;
    const data = JSON.parse(source.textContent);
    const empty = data.series.length === 0;
    byId("spend-empty").hidden = !empty;
    canvas.parentElement.hidden = empty;
    drawLegend(data);
    if (empty) return;
    if (!chart) {
      Chart.defaults.font.family = "Inter, sans-serif";
      chart = new Chart(canvas, { type: "bar", data: { labels: [], datasets: [] }, options: chartOptions() });
    }
    chart.data.labels = data.labels;
    chart.data.datasets = seriesOf(data);
    chart.options = chartOptions();
    chart.update();
  }

  // Screen readers hear of a provider only when its state has changed, not at every refresh.

  let knownStates = new Map();

  function announceStates() {
    const states = new Map();
    const changes = [];
    for (const card of document.querySelectorAll("[data-provider]")) {
      const { provider, state } = card.dataset;
      states.set(provider, state);
      if (knownStates.has(provider) && knownStates.get(provider) !== state) changes.push(`${provider}: ${state}.`);
    }
    knownStates = states;
    if (changes.length > 0) document.querySelector("[data-announcer]").textContent = changes.join(" ");
  }

  // A page that has stopped being live says so.

  function showLive(isLive) {
    const note = document.querySelector("[data-live-note]");
    if (!note) return;
    const words = isLive ? "Live" : "Not live: the gateway can't be reached. These figures are from the last refresh.";
    const text = note.querySelector("[data-live-text]");
    note.classList.toggle("lo-stale", !isLive);
    if (text.textContent === words) return;
    text.textContent = words;
    if (!isLive) document.querySelector("[data-announcer]").textContent = words;
  }

  function refreshed() {
    readServerClock();
    tickCountdowns();
    announceStates();
  }

  // What somebody has unfolded stays so when a refresh draws it anew.

  const unfolded = new Set();

  function rememberUnfolded() {
    for (const details of document.querySelectorAll("[data-refresh] details[id]")) {
      if (details.open) unfolded.add(details.id);
      else unfolded.delete(details.id);
    }
  }

  function unfoldAgain() {
    for (const id of unfolded) byId(id)?.setAttribute("open", "");
  }

  // A list that moves on while somebody reads it can be held still.

  let paused = false;

  function watchPause() {
    document.body.addEventListener("click", (event) => {
      const button = event.target.closest("[data-pause]");
      if (!button) return;
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      button.textContent = paused ? "Go on" : "Pause";
      document.querySelector("[data-live-text]").textContent = paused ? "Paused" : "Live";
    });
  }

  // Up and down go from row to row while the focus is on one.

  function watchRowKeys() {
    document.body.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || !event.target.matches("[data-row-link]")) return;
      const links = [...event.target.closest("[data-rows]").querySelectorAll("[data-row-link]")];
      links[links.indexOf(event.target) + step]?.focus();
      event.preventDefault();
    });
  }

  // Empty fields don't clutter an address that is to be shared.

  function watchTidyForms() {
    document.body.addEventListener("submit", (event) => {
      if (!event.target.matches("[data-tidy]")) return;
      for (const field of event.target.elements) if (field.name && field.value === "") field.disabled = true;
    });
    window.addEventListener("pageshow", () => {
      for (const field of document.querySelectorAll("[data-tidy] :disabled")) field.disabled = false;
    });
  }

  function watchRefreshes() {
    document.body.addEventListener("htmx:beforeSwap", rememberUnfolded);
    document.body.addEventListener("htmx:afterSwap", unfoldAgain);
    document.body.addEventListener("htmx:beforeRequest", (event) => {
      if (document.hidden && event.target.matches("[data-refresh]")) event.preventDefault();
      if (paused && event.target.matches("[data-pausable]")) event.preventDefault();
    });
    document.body.addEventListener("htmx:afterSettle", (event) => {
      if (event.target.id === "providers" || event.target.id === "provider-live" || event.target.id === "breakers") refreshed();
      if (event.target.id === "figures") drawChart();
    });
    document.body.addEventListener("htmx:afterRequest", (event) => showLive(event.detail.successful));
  }

  function watchTheme() {
    new MutationObserver(drawChart).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  }

  function watchFilters() {
    for (const form of document.querySelectorAll("[data-filters]")) {
      form.addEventListener("formdata", (event) => {
        for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
      });
      form.addEventListener("change", () => form.requestSubmit());
    }
  }

  function watchCopyButtons() {
    document.body.addEventListener("click", async (event) => {
      const button = event.target.closest("[data-copy]");
      if (!button) return;
      const source = byId(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        // Without a secure page there is no clipboard: select the text, so that the keyboard can copy it.
        getSelection().selectAllChildren(source);
      }
    });
  }

  watchRefreshes();
  watchPause();
  watchRowKeys();
  watchTidyForms();
  watchTheme();
  watchFilters();
  watchCopyButtons();
  refreshed();
  drawChart();
  setInterval(tickCountdowns, 1000);
})();
