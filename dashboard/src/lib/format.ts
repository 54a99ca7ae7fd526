// Numbers as people read them. Every function says its unit in what it returns.

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
const COUNT_UNITS = ["", "k", "M", "G", "T"] as const;

function scaled(value: number, base: number, units: readonly string[]): [string, string] {
  let rest = Math.abs(value);
  let unit = 0;
  while (rest >= base * 0.9995 && unit < units.length - 1) {
    rest /= base;
    unit += 1;
  }
  const digits = unit === 0 ? (Number.isInteger(rest) || rest >= 10 ? 0 : 1) : rest >= 100 ? 0 : rest >= 10 ? 1 : 2;
  const text = rest.toFixed(digits).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
  return [(value < 0 ? "−" : "") + text, units[unit] ?? ""];
}

export function bytes(value: number): string {
  const [text, unit] = scaled(value, 1024, BYTE_UNITS);
  return `${text} ${unit}`;
}

export const bytesPerSecond = (value: number): string => `${bytes(value)}/s`;

export function count(value: number): string {
  const [text, unit] = scaled(value, 1000, COUNT_UNITS);
  return text + unit;
}

/** What no real process has none of: nothing was measured where it is 0, as with workers that share one process. */
export const measured = (value: number, say: (value: number) => string): string => (value > 0 ? say(value) : "–");

/** All digits, in groups. */
export const exact = (value: number): string => Math.round(value).toLocaleString("en-US");

export const perSecond = (value: number): string => `${count(value)}/s`;

export const cores = (value: number): string => `${value.toFixed(value >= 10 ? 0 : 1)} cores`;

export const percent = (share: number): string =>
  Number.isFinite(share) ? `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %` : "–";

export function duration(us: number): string {
  if (us < 1_000) return `${Math.round(us)} µs`;
  if (us < 1_000_000) return `${trim(us / 1_000)} ms`;
  if (us < 60_000_000) return `${trim(us / 1_000_000)} s`;
  const seconds = Math.round(us / 1_000_000);
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor((seconds % 3_600) / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return `${minutes} min ${seconds % 60} s`;
}

function trim(value: number): string {
  const text = value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

export const milliseconds = (ms: number): string => duration(ms * 1_000);

export function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
}

export function clockMillis(ms: number): string {
  return `${clock(ms)}.${String(Math.floor(ms) % 1_000).padStart(3, "0")}`;
}

export function moment(ms: number): string {
  const date = new Date(ms);
  const isToday = date.toDateString() === new Date().toDateString();
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return isToday ? clock(ms) : `${day} ${clock(ms)}`;
}

/** The beginning of a text, with a sign that there is more. Never cuts a character in half. */
export function short(text: string, most: number): string {
  const characters = Array.from(text.length > most * 4 ? text.slice(0, most * 4) : text);
  return characters.length <= most ? characters.join("") : `${characters.slice(0, most - 1).join("")}…`;
}

/** The first part of an id: enough to tell ids apart by eye. Ids of jobs begin with their time, so their end tells more. */
export const shortId = (id: string): string => id.slice(-8);
