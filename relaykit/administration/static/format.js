// Amounts and times as people read them.

const SCALE = ["", "k", "M", "G", "T", "P"];

function scaled(value, unit) {
  let step = 0;
  while (value >= 999.5 && step < SCALE.length - 1) {
    value /= 1000;
    step += 1;
  }
  const digits = step === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${SCALE[step]}${unit}`;
}

export const bytes = (value) => scaled(value, "B");
export const rate = (bytesPerSecond) => scaled(bytesPerSecond * 8, "bit/s");
export const number = (value, what) => `${count(value)} ${what}${value === 1 ? "" : "s"}`;
export const count = (value) => value.toLocaleString("en");

const SPANS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const first = SPANS.findIndex(([, length]) => whole >= length);
  if (first < 0) return "0 s";
  const [unit, length] = SPANS[first];
  const rest = SPANS[first + 1] && Math.floor((whole % length) / SPANS[first + 1][1]);
  return `${Math.floor(whole / length)} ${unit}` + (rest ? ` ${rest} ${SPANS[first + 1][0]}` : "");
}

export const ago = (time) => (time ? `${span(Date.now() / 1000 - time)} ago` : "never");
export const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour12: false });
export const moment = (time) => (time ? new Date(time * 1000).toLocaleString([], { hour12: false }) : "never");
