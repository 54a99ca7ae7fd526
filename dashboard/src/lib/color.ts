// Colours that mean the same on every page: an operation keeps its colour, a state has its own.

/** Colours far apart from each other, and from the red of failures and the orange of transfers. OKLCH: lightness, chroma, hue. */
const PALETTE = [
  [0.6, 0.13, 255],
  [0.62, 0.1, 182],
  [0.75, 0.13, 88],
  [0.56, 0.14, 298],
  [0.64, 0.13, 148],
  [0.66, 0.14, 350],
  [0.7, 0.1, 222],
  [0.52, 0.07, 60],
  [0.7, 0.13, 120],
  [0.55, 0.04, 255],
] as const;

function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  }
  return value >>> 0;
}

/** Lightness, chroma and hue of an operation. */
function lookOf(name: string, dark: boolean): readonly [number, number, number] {
  const value = hash(name);
  const [lightness, chroma, hue] = PALETTE[value % PALETTE.length] ?? PALETTE[0];
  // Two operations of one colour still differ a little.
  const step = (((value >>> 8) % 3) - 1) * 0.035;
  return [lightness + step + (dark ? 0.06 : 0), chroma, hue];
}

/** The colour of an operation, the same in every browser and on every day. */
export function opColor(name: string, dark: boolean): string {
  const [lightness, chroma, hue] = lookOf(name, dark);
  return `oklch(${lightness.toFixed(3)} ${chroma} ${hue})`;
}

/** What can be read on the colour of an operation: black from this lightness on, white below. */
export const opInk = (name: string, dark: boolean): string => (lookOf(name, dark)[0] >= 0.6 ? "#0b0f15" : "#ffffff");

/** What a person calls an operation: `python my.pkg:load` is `my.pkg:load`. */
export function opName(op: string): string {
  const space = op.indexOf(" ");
  const name = space < 0 ? op : op.slice(space + 1);
  return name === "" || name === "command" ? op.slice(0, space < 0 ? undefined : space) : name;
}

export const opKind = (op: string): string => op.split(" ", 1)[0] ?? op;

export const STATES = ["stored", "released", "assigned", "running", "ready", "waiting", "failed", "cancelled"] as const;

export const STATE_WORDS: Record<string, string> = {
  stored: "done, output held",
  released: "done, output let go",
  assigned: "with a worker",
  running: "running",
  ready: "ready",
  waiting: "waiting for inputs",
  failed: "failed",
  cancelled: "cancelled",
};
