// Traffic over time: what goes in above, what goes out beside it, in units that people read.

import uPlot from "./vendor/uplot.js";
import { html, useEffect, useRef } from "./vendor/htm-preact.js";

const HEIGHT = 240;
const PADDING = 12;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Seconds from one time that is written to the next.
const STEPS = [5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600];

const two = (value) => String(value).padStart(2, "0");

// Times of day in 24 hours, and days where a step is one.
function times(plot, values, axis, space, step) {
  return values.map((value) => {
    const date = new Date(value * 1000);
    if (step >= 86400) return date.toLocaleDateString([], { day: "numeric", month: "short" });
    const day = two(date.getHours()) + ":" + two(date.getMinutes());
    if (step < 60) return day + ":" + two(date.getSeconds());
    return day === "00:00" ? date.toLocaleDateString([], { day: "numeric", month: "short" }) : day;
  });
}

function options(width, format, names, seconds) {
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const line = (label, name) => ({
    label,
    stroke: colour(name),
    fill: colour(name) + "1f",
    width: 2,
    points: { show: false },
    value: (_, value) => (value == null ? "–" : format(value)),
  });
  return {
    width,
    height: HEIGHT,
    padding: [10, 28, 0, 0],
    cursor: { points: { size: 7 }, y: false },
    legend: { live: true },
    scales: { x: { range: (_, low, high) => [seconds ? Math.min(low, high - seconds) : low, high] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [{ ...axis, values: times, space: 72, incrs: STEPS }, { ...axis, size: 78, values: (_, values) => values.map((value) => (value >= 1 ? format(value) : value ? "" : "0")) }],
    series: [{ label: "Time", value: (_, time) => (time == null ? "–" : new Date(time * 1000).toLocaleString([], { hour12: false })) }, line(names[0], "--in"), line(names[1], "--out")],
  };
}

const room = (box) => box.clientWidth - 2 * PADDING;

// It shows at least so many seconds.
export function Plot({ data, format, names, label, seconds = 0 }) {
  const box = useRef(null);
  const plot = useRef(null);
  useEffect(() => {
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(room(box.current), format, names, seconds), data, box.current);
    };
    make();
    const sizes = new ResizeObserver(() => plot.current.setSize({ width: room(box.current), height: HEIGHT }));
    sizes.observe(box.current);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    addEventListener("themechange", make);
    return () => {
      sizes.disconnect();
      dark.removeEventListener("change", make);
      removeEventListener("themechange", make);
      plot.current.destroy();
    };
  }, [label]);
  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);
  return html`<div class="plot" ref=${box} role="img" aria-label=${label}></div>`;
}
