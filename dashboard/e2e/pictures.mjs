// The guide's pictures: of a cluster of its own that has run the jobs of guide.py and some others.

import { mkdir, stat } from "node:fs/promises";
import { check, skipped, start, until } from "./harness.mjs";
import { failing, naps, orders } from "./jobs.mjs";
import { looker } from "./pages.mjs";

const IMAGES = new URL("../../docs/img/", import.meta.url).pathname;
/** Bytes of the largest picture that belongs into a repository. */
const MOST = 150_000;

export function pictures({ page, base, api, home, interpreter }) {
  const { open, rows } = looker(page, base);
  const ids = {};
  const seen = (selector) => page.locator(selector).first().waitFor();
  const rowsOf = (name, least) => until(`rows of ${name}`, async () => (await rows(name)).length >= least);

  /** Runs `act` while the script holds what its jobs made. */
  const withGuide = async (act) => {
    const env = { PYTHONPATH: new URL("../../python", import.meta.url).pathname, PYTHONDONTWRITEBYTECODE: "1", MILLSTREAM_GATEWAY: base.replace(/\/$/, ""), MILLSTREAM_TOKEN: api.token };
    const script = await start(interpreter, [new URL("guide.py", import.meta.url).pathname], /^ready$/, env);
    try {
      await act();
    } finally {
      await script.stop();
    }
  };

  const runOthers = async () => {
    const query = await orders(home);
    await api.post("sql", { query: query.query, tables: query.tables });
    ids.failing = (await api.finish(failing)).id;
    const { jobs } = await api.get("jobs?limit=50");
    for (const [key, name] of Object.entries({ resize: "resize", shuffle: "orders_of", hog: "load_day" })) ids[key] = jobs.find((job) => job.name.startsWith(name)).id;
    const counted = { "__main__:resize": 80, "__main__:count_orders": 16, "__main__:rows_of": 12 };
    await until("all runs are told", async () => {
      const { operations } = await api.get("live/operations");
      return Object.entries(counted).every(([name, runs]) => operations.some((row) => row.name === name && row.finished === runs));
    });
    // Something moves in the pictures of what is live.
    ids.naps = (await api.post("jobs", { ...naps(160, 0.6), name: "nightly report" })).id;
    await until("it has run for a while", async () => {
      const { tasks } = await api.job(ids.naps);
      return tasks.stored + tasks.released >= 60;
    });
  };

  const views = () => ({
    overview: ["overview", () => until("charts", async () => (await page.locator(".plot canvas").count()) === 6)],
    jobs: ["jobs", () => rowsOf("jobs", 5)],
    job: [`jobs/${ids.naps}`, () => seen(".table-row")],
    workers: ["workers", () => rowsOf("workers", 3)],
    "slow-task-profile": [`profile?job=${ids.resize}`, () => page.getByRole("list", { name: "Skew" }).waitFor()],
    "slow-task-stream": [`jobs/${ids.resize}?tab=stream`, () => seen(".stream-legend .op")],
    "slow-task": [`task/${ids.resize}/panorama`, () => seen(".story li")],
    "shuffle-profile": [`profile?job=${ids.shuffle}`, () => page.getByRole("list", { name: "Skew" }).waitFor()],
    "shuffle-stream": [`jobs/${ids.shuffle}?tab=stream`, () => seen(".stream-legend .op")],
    "shuffle-graph": [`jobs/${ids.shuffle}?tab=graph`, () => seen(".node-name")],
    transfers: ["transfers?show=total", () => seen(".matrix canvas")],
    "memory-workers": ["memory", () => rowsOf("memory-by-worker", 3)],
    "memory-operations": ["memory?by=operation", () => rowsOf("memory-by-operation", 3)],
    "memory-objects": ["memory?by=object", () => rowsOf("largest-objects", 12)],
    "failed-job": [`jobs/${ids.failing}`, () => seen(".failed-tasks a")],
    logs: ["logs?level=info", () => seen(".line")],
    system: ["system", () => seen(".service")],
  });

  const shoot = async (name, [hash, ready]) => {
    // So high that a job's task stream is in sight with its legend.
    await page.setViewportSize({ width: 1280, height: hash.includes("tab=stream") ? 840 : 720 });
    await open(hash);
    await ready();
    await page.mouse.move(0, 0);
    // Bars and lines come to rest, and what was asked for last is drawn.
    await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished)).then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))));
    const path = `${IMAGES}dashboard-${name}.png`;
    await page.screenshot({ path, animations: "disabled", caret: "hide" });
    const { size } = await stat(path);
    check(size <= MOST, `${name} is a small picture: ${size} bytes`);
  };

  return {
    "pictures of every page": async () => {
      if (!interpreter) return skipped("no environment of the Python package's tests was found");
      await mkdir(IMAGES, { recursive: true });
      await page.emulateMedia({ colorScheme: "light" });
      await withGuide(async () => {
        await runOthers();
        const stream = ["stream?ms=20000", () => seen(".stream-legend .op")];
        for (const [name, view] of Object.entries(views())) await shoot(name, view);
        await page.emulateMedia({ colorScheme: "dark" });
        await shoot("stream-dark", stream);
      });
    },
  };
}
