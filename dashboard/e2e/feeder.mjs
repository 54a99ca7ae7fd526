// Every page against a real gateway behind which a feeder plays leader and workers: what a browser sees, in both themes,
// with hostile names, by keyboard, and with five hundred workers and a million tasks.
//
//   node e2e/feeder.mjs FEEDER

import { createServer } from "node:http";
import { axe, browse, check, LIMIT, run, start, until } from "./harness.mjs";

const [feeder] = process.argv.slice(2);
const LINE = /^(http:\S+\/) token (\S+)$/;

const PAGES = {
  overview: (page) => page.locator(".chart").first().waitFor(),
  jobs: (page) => page.locator(".table-row").first().waitFor(),
  stream: (page) => page.locator(".stream-legend .op").first().waitFor(),
  graph: (page) => page.locator(".node-name").first().waitFor(),
  workers: (page) => page.locator(".table-row").first().waitFor(),
  memory: (page) => page.locator(".memory-bar").first().waitFor(),
  "memory?by=operation": (page) => page.locator(".table-row").first().waitFor(),
  "memory?by=object": (page) => page.locator(".table-row").first().waitFor(),
  transfers: (page) => page.locator(".matrix canvas").waitFor(),
  profile: (page) => page.locator(".flame-leaf").first().waitFor(),
  logs: (page) => page.locator(".line").first().waitFor(),
  system: (page) => page.locator(".service").first().waitFor(),
};

async function cell(page, column) {
  return page.locator(".table-row").first().locator("[role=cell]").nth(column).innerText();
}

async function main() {
  const server = await start(feeder, ["--port", "0", "--workers", "12"], LINE);
  const [, base, token] = server.match;
  const { browser, context, complaints, page } = await browse(base);
  const api = async (method, path) => (await fetch(`${base}v1/${path}`, { method, headers: { authorization: `Bearer ${token}` } })).json();
  const open = (hash) => page.goto(`${base}#/${hash}`);
  const jobNamed = async (part, state) => {
    let found;
    await until(`a job called ${part}${state ? `, ${state}` : ""}`, async () => {
      found = (await api("GET", "jobs")).jobs.find((job) => job.name.includes(part) && (!state || job.state === state));
      return found !== undefined;
    });
    return found;
  };

  const steps = {
    "nothing is shown before the sign-in": async () => {
      await open("jobs");
      await page.getByRole("button", { name: "Sign in" }).waitFor();
      check((await page.locator(".table-row").count()) === 0, "no row is shown");
      await axe(page, "sign-in");
      await page.getByLabel("Token").fill("wrong");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("not this cluster's").waitFor();
      complaints.length = 0;
    },
    "a one-time link signs in, once": async () => {
      const { code } = await api("POST", "sign-in/codes");
      await page.goto(`${base}?code=${code}`);
      await page.getByRole("heading", { name: "Overview" }).waitFor();
      check(!page.url().includes("code"), "the code is not left in the address");
      const other = await browser.newContext();
      const second = await other.newPage();
      await second.goto(`${base}?code=${code}`);
      await second.getByText("was used before").waitFor();
      await other.close();
    },
    "every page, light and dark, without faults": async () => {
      for (const theme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme: theme });
        for (const [hash, ready] of Object.entries(PAGES)) {
          await open(hash);
          await ready(page);
          await axe(page, `${hash} in ${theme}`);
        }
      }
      await page.emulateMedia({ colorScheme: "light" });
    },
    "one job, its parts and one task": async () => {
      const job = await jobNamed("revenue");
      for (const tab of ["progress", "tasks", "stream", "graph", "events"]) {
        await open(`jobs/${job.id}?tab=${tab}`);
        await page.getByRole("heading", { name: "revenue" }).waitFor();
        await page.locator({ progress: ".table-row", tasks: ".table-row", stream: "canvas", graph: ".node-name", events: ".story li" }[tab]).first().waitFor();
        await axe(page, `job, ${tab}`);
      }
      await open(`jobs/${job.id}?tab=graph`);
      await page.locator(".graph-box a").nth(1).click();
      await page.locator(".task-node").first().waitFor();
      await axe(page, "tasks of a layer");
      await page.locator(".graph-box a").first().click();
      await page.getByRole("heading", { name: "Story" }).waitFor();
      await axe(page, "task");
    },
    "a failed job names its first failure": async () => {
      const job = await jobNamed("fit models", "failed");
      await open(`jobs/${job.id}`);
      await page.getByText("is not a number").first().waitFor();
      await page.getByRole("heading", { name: "Errors first" }).waitFor();
      await axe(page, "failed job");
    },
    "hostile names are only texts": async () => {
      const job = await jobNamed("onmouseover");
      for (const hash of ["jobs", "graph", "logs", `jobs/${job.id}`, `jobs/${job.id}?tab=tasks`, `jobs/${job.id}?tab=graph`, "overview"]) {
        await open(hash);
        await until(`${hash} has something to show`, async () => (await page.locator("main .loading").count()) === 0 && (await page.locator("main").innerText()).length > 40);
      }
      await open(`jobs/${job.id}?tab=tasks`);
      await page.getByText("<img src=x onerror").first().waitFor();
      await page.locator(".table-row").nth(2).locator("a").first().click();
      await page.getByRole("heading", { name: "Story" }).waitFor();
      check((await page.evaluate(() => window.pwned)) === undefined, "no name has run");
      check((await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)), "no name widens the page");
    },
    "tables sort, search and leave as CSV": async () => {
      await open("workers");
      await page.getByRole("button", { name: /^Worker/ }).click();
      const first = await cell(page, 0);
      await page.getByRole("button", { name: /^Worker/ }).click();
      check((await cell(page, 0)) !== first, "the order turns");
      await page.getByLabel("Search workers").fill("worker-11");
      await until("one row is left", async () => (await page.locator(".table-row").count()) === 1);
      check(page.url().includes("q=worker-11"), "the search is in the link");
      const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export CSV" }).click()]);
      check(file.suggestedFilename() === "workers.csv", "the file has the table's name");
      await open("jobs");
      await page.getByLabel("State").selectOption("failed");
      await until("only failed jobs", async () => (await page.locator(".table-row .badge").allInnerTexts()).every((state) => state === "failed"));
    },
    "keys lead everywhere": async () => {
      await open("overview");
      await page.locator("main").focus();
      await page.keyboard.press("g");
      await page.keyboard.press("w");
      await page.getByRole("heading", { name: "Workers" }).waitFor();
      await page.keyboard.press("/");
      check(await page.getByLabel("Search workers").evaluate((input) => input === document.activeElement), "the search has the focus");
      await open("stream");
      const canvas = page.locator(".stream canvas");
      await canvas.focus();
      await page.keyboard.press("ArrowLeft");
      await page.getByRole("button", { name: "Follow", exact: true }).waitFor();
      await page.keyboard.press("+");
      await page.keyboard.press("End");
      await page.getByRole("button", { name: "Following" }).waitFor();
    },
    "a job is cancelled and a worker drained after a question": async () => {
      const job = await jobNamed("", "running");
      await open(`jobs/${job.id}`);
      await page.getByRole("button", { name: "Cancel", exact: true }).click();
      await axe(page, "question");
      await page.getByRole("button", { name: "Not now" }).click();
      await page.getByRole("button", { name: "Cancel", exact: true }).click();
      await page.getByRole("button", { name: "Cancel the job" }).click();
      await until("the job is cancelled", async () => (await api("GET", `jobs/${job.id}`)).state === "cancelled");
      await page.getByRole("button", { name: "Run again" }).click();
      await until("a new job is shown", () => !page.url().includes(job.id));
      const [worker] = (await api("GET", "workers")).workers;
      await open(`workers?worker=${worker.id}`);
      await page.getByRole("button", { name: "Drain", exact: true }).click();
      await page.getByRole("button", { name: "Drain the worker" }).click();
      await page.locator(".card .badge", { hasText: "draining" }).waitFor({ timeout: LIMIT });
    },
    "a foreign page can neither read nor post": async () => {
      const foreign = createServer((_, response) => response.setHeader("content-type", "text/html").end("<title>other</title>"));
      await new Promise((done) => foreign.listen(0, "127.0.0.1", done));
      const other = await context.newPage();
      await other.goto(`http://127.0.0.1:${foreign.address().port}/`);
      const before = (await api("GET", "jobs")).jobs.length;
      const results = await other.evaluate(async (url) => {
        const attempt = (init) => fetch(`${url}v1/jobs`, { credentials: "include", ...init }).then((response) => response.text(), () => "refused");
        const body = JSON.stringify({ tasks: [{ key: "a", op: "command", argv: ["true"] }] });
        const script = new Promise((done) => {
          const element = document.createElement("script");
          element.src = `${url}v1/jobs`;
          element.onload = () => done("loaded");
          element.onerror = () => done("refused");
          document.head.append(element);
        });
        return [await attempt({}), await attempt({ method: "POST", body }), await attempt({ method: "POST", body, headers: { "content-type": "application/json" } }), await script];
      }, base);
      check(results.every((result) => result === "refused"), `all refused: ${results.map((result) => result.slice(0, 80))}`);
      // Jobs come and go by themselves here, so only one that is ours would tell.
      check(!(await api("GET", "jobs")).jobs.some((job) => job.name === "a"), `nothing was submitted (${before} jobs before)`);
      await other.close();
      await new Promise((done) => foreign.close(done));
      complaints.length = 0;
    },
  };
  try {
    await run(steps);
    check(complaints.length === 0, `no page complains:\n  ${complaints.join("\n  ")}`);
  } finally {
    await browser.close();
    await server.stop();
  }
}

/** Frames in a second, as the browser paints them. */
const frameRate = (page) =>
  page.evaluate(
    () =>
      new Promise((done) => {
        const began = performance.now();
        let frames = 0;
        const count = () => {
          frames += 1;
          const passed = performance.now() - began;
          if (passed < 5_000) requestAnimationFrame(count);
          else done((frames * 1_000) / passed);
        };
        requestAnimationFrame(count);
      }),
  );

async function large() {
  const server = await start(feeder, ["--port", "0", "--workers", "500", "--slots", "4", "--tasks", "1000000"], LINE);
  const [, base, token] = server.match;
  const { browser, complaints, page } = await browse(base);
  try {
    await run({
      "500 workers and a million tasks at thirty frames a second and more": async () => {
        await page.goto(base);
        await page.getByLabel("Token").fill(token);
        await page.getByRole("button", { name: "Sign in" }).click();
        const metrics = await page.context().newCDPSession(page);
        await metrics.send("Performance.enable");
        const heap = async () => {
          await metrics.send("HeapProfiler.collectGarbage");
          const told = await metrics.send("Performance.getMetrics");
          return told.metrics.find((one) => one.name === "JSHeapUsedSize").value / 2 ** 20;
        };
        for (const hash of ["stream", "workers", "overview", "transfers", "jobs"]) {
          await page.goto(`${base}#/${hash}`);
          await PAGES[hash](page);
          const rate = await frameRate(page);
          console.log(`   ${hash}: ${rate.toFixed(0)} frames/s, heap ${(await heap()).toFixed(0)} MiB`);
          check(rate >= 30, `${hash} is painted at 30 frames/s, not ${rate.toFixed(1)}`);
        }
        await page.goto(`${base}#/stream`);
        const before = await heap();
        const told = async () => (await (await fetch(`${base}v1/live/history?span=hour`, { headers: { authorization: `Bearer ${token}` } })).json()).points.length;
        const end = (await told()) + 20;
        await until("twenty more seconds are told", async () => (await told()) >= end);
        const after = await heap();
        console.log(`   stream for 20 s: heap ${before.toFixed(0)} → ${after.toFixed(0)} MiB`);
        check(after < 200 && after < before + 40, `the page's memory is bounded: ${before.toFixed(0)} → ${after.toFixed(0)} MiB`);
      },
    });
    check(complaints.length === 0, `no page complains:\n  ${complaints.join("\n  ")}`);
  } finally {
    await browser.close();
    await server.stop();
  }
}

await main();
await large();
