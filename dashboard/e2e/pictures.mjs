// The guide's pictures, of the cluster under test and its jobs.

import { mkdir, stat } from "node:fs/promises";
import { check, until } from "./harness.mjs";
import { naps } from "./jobs.mjs";
import { looker } from "./pages.mjs";

const IMAGES = new URL("../../docs/img/", import.meta.url).pathname;
/** Bytes of the largest picture that belongs into a repository. */
const MOST = 300_000;

export function pictures({ page, base, api, ids }) {
  const { open, rows } = looker(page, base);
  const seen = (selector) => page.locator(selector).first().waitFor();
  const shoot = async (name) => {
    const path = `${IMAGES}dashboard-${name}.png`;
    await mkdir(IMAGES, { recursive: true });
    await page.mouse.move(0, 0);
    await page.screenshot({ path, animations: "disabled", caret: "hide" });
    check((await stat(path)).size < MOST, `${name} is a small picture`);
  };
  const views = {
    overview: ["overview", () => until("charts", async () => (await page.locator(".plot canvas").count()) === 6)],
    jobs: ["jobs", () => seen(".table-row")],
    stream: ["stream", () => seen(".stream-legend .op")],
    workers: ["workers", () => seen(".table-row")],
    "memory-workers": ["memory", () => seen(".memory-bar")],
    memory: ["memory?by=object", () => until("objects", async () => (await rows("largest-objects")).length > 5)],
    transfers: ["transfers?show=total", () => seen(".matrix canvas")],
    profile: [`profile?job=${ids.skewed}`, () => page.getByRole("list", { name: "Skew" }).waitFor()],
    logs: ["logs", () => seen(".line")],
    system: ["system", () => seen(".service")],
    graph: [`graph?job=${ids.shuffle}`, () => seen(".node-name")],
    job: [`jobs/${ids.naps}`, () => seen(".table-row")],
    "failed-job": [`jobs/${ids.failing}`, () => seen(".failed-tasks a")],
    "slow-task": [`task/${ids.skewed}/image-slow`, () => seen(".story li")],
    "skewed-shuffle": [`jobs/${ids.shuffle}?tab=stream`, () => seen(".stream-legend .op")],
    query: [`jobs/${ids.query}`, () => seen(".table-row")],
  };
  return {
    "pictures of every page": async () => {
      // Something moves in the pictures of what is live.
      const { id } = await api.post("jobs", { ...naps(120, 0.4), name: "nightly report" });
      await until("it has run for a while", async () => (await api.job(id)).tasks.released + (await api.job(id)).tasks.stored >= 30);
      for (const [name, [hash, ready]] of Object.entries(views)) {
        await open(hash);
        await ready();
        // Bars and lines come to rest.
        await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished)).then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))));
        await shoot(name);
      }
      await page.emulateMedia({ colorScheme: "dark" });
      for (const name of ["overview", "stream"]) {
        const [hash, ready] = views[name];
        await open(hash);
        await ready();
        await shoot(`${name}-dark`);
      }
      await page.emulateMedia({ colorScheme: "light" });
      await until("the job is over", async () => (await api.job(id)).ended_ms);
    },
  };
}
