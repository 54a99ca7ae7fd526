// @vitest-environment node
import { describe, expect, it } from "vitest";
import { taskPath } from "../src/lib/api";
import { opColor, opKind, opName } from "../src/lib/color";
import { criticalPath } from "../src/lib/critical";
import { toCsv } from "../src/lib/csv";
import { flameOf, flatten } from "../src/lib/flame";
import * as format from "../src/lib/format";

describe("format", () => {
  it("says bytes in powers of two", () => {
    expect([0, 1, 1023, 1024, 1536, 15 * 2 ** 30, 2 ** 50].map(format.bytes)).toEqual(["0 B", "1 B", "1023 B", "1 KiB", "1.5 KiB", "15 GiB", "1 PiB"]);
  });
  it("says counts in powers of ten", () => {
    expect([0, 7, 999, 1_000, 1_234, 56_789, 1_000_000].map(format.count)).toEqual(["0", "7", "999", "1k", "1.23k", "56.8k", "1M"]);
  });
  it("keeps the zeros of whole numbers", () => {
    expect([200, 1_500, 200_000, 4_400_000, 60_000_000, 3_600_000_000].map(format.duration)).toEqual(["200 µs", "1.5 ms", "200 ms", "4.4 s", "1 min 0 s", "1 h 0 min"]);
  });
  it("cuts texts between characters", () => {
    expect(format.short("👩‍💻👩‍💻👩‍💻", 3)).not.toContain("\ud83d\ufffd");
    expect(Array.from(format.short("x".repeat(10_000), 60))).toHaveLength(60);
    expect(format.short("short", 60)).toBe("short");
  });
});

describe("paths", () => {
  it("keep the slashes and pluses of a task's key, and nothing else that means something", () => {
    expect(taskPath("j", "a/b?c#d+e%2F <x>")).toBe("jobs/j/tasks/a/b%3Fc%23d+e%252F%20%3Cx%3E");
  });
});

describe("csv", () => {
  const column = [{ label: "a,b", value: (row: string) => row }];
  it("quotes what would break a row", () => {
    expect(toCsv(column, ['x"y', "two\nlines"])).toBe('"a,b"\r\n"x""y"\r\n"two\nlines"\r\n');
  });
  it("makes formulas texts", () => {
    for (const formula of ["=cmd|'/c calc'!A1", "+1", "-1", "@x"]) expect(toCsv(column, [formula]).split("\r\n")[1]).toMatch(/^"?'/);
  });
});

describe("operations", () => {
  it("are called by what people call them", () => {
    expect([opName("python pkg.mod:f"), opName("command command"), opKind("python pkg.mod:f")]).toEqual(["pkg.mod:f", "command", "python"]);
  });
  it("keep their colour", () => {
    expect(opColor("native f", false)).toBe(opColor("native f", false));
    expect(opColor("native f", false)).not.toBe(opColor("native f", true));
  });
});

describe("critical path", () => {
  const node = (cost_us: number, total = 1): { cost_us: number; tasks: { total: number } } => ({ cost_us, tasks: { total } });
  it("is the chain that takes longest", () => {
    const links = [{ from: 0, to: 1, inputs: 1 }, { from: 0, to: 2, inputs: 1 }, { from: 1, to: 3, inputs: 1 }, { from: 2, to: 3, inputs: 1 }];
    expect(criticalPath([node(1), node(5), node(9), node(1)], links)).toEqual({ layers: [0, 2, 3], us: 11 });
  });
  it("counts the levels of a layer that reads itself", () => {
    expect(criticalPath([node(2, 8)], [{ from: 0, to: 0, inputs: 7 }]).us).toBe(6);
  });
  it("of nothing is nothing", () => {
    expect(criticalPath([], [])).toEqual({ layers: [], us: 0 });
  });
});

describe("flame graph", () => {
  const root = flameOf([
    { path: ["python", "a", "f"], us: 60, op: "python a:f" },
    { path: ["python", "a", "g"], us: 20, op: "python a:g" },
    { path: ["native", "h"], us: 20, op: "native h" },
  ]);
  it("lays shares over each other", () => {
    const bars = flatten(root, "");
    expect(bars.map((bar) => [bar.name, bar.depth, bar.share])).toEqual([["all", 0, 1], ["python", 1, 0.8], ["a", 2, 0.8], ["f", 3, 0.6], ["g", 3, 0.2], ["native", 1, 0.2], ["h", 2, 0.2]]);
  });
  it("zooms to a bar and keeps the way back", () => {
    expect(flatten(root, "python").map((bar) => [bar.name, bar.depth, bar.share])).toEqual([["all", 0, 1], ["python", 1, 1], ["a", 2, 1], ["f", 3, 0.75], ["g", 3, 0.25]]);
  });
});
