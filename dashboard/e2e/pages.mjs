// What every page must show while real jobs run and after them, compared with what the gateway answers to a program.

import { axeBoth, check, same, until, untilSame } from "./harness.mjs";
import { BLOB, BLOBS, failing, naps } from "./jobs.mjs";

const UNITS = ["B", "KiB", "MiB", "GiB"];

/** The number of bytes that a text such as `3.81 MiB` says. */
export function bytesOf(text) {
  const [, number, unit] = /^([\d.]+) (\w+)/.exec(text) ?? [];
  return Number(number) * 1_024 ** UNITS.indexOf(unit);
}

/** The end of an id, as lists show it. */
const shortId = (id) => id.slice(-8);
const isNear = (told, wanted) => Math.abs(told - wanted) <= wanted * 0.01 + 1;

export function looker(page, base) {
  const open = (hash) => page.goto(`${base}#/${hash}`);
  const heading = (name) => page.getByRole("heading", { name, exact: true, level: 1 }).waitFor();
  const table = (name) => page.getByRole("table", { name, exact: true });
  /** The rows in sight of a table, each a list of texts. */
  const rows = (name) => table(name).locator(".table-row").evaluateAll((all) => all.map((row) => [...row.querySelectorAll("[role=cell]")].map((cell) => cell.innerText.trim())));
  const stat = (label) => page.locator(".stat", { has: page.locator(".stat-label", { hasText: new RegExp(`^${label}$`) }) });
  const value = (label) => stat(label).locator(".stat-value").innerText();
  return { open, heading, table, rows, stat, value };
}

export function pages({ page, base, api, ids }) {
  const { open, heading, table, rows, stat, value } = looker(page, base);
  const workers = async () => (await api.get("workers")).workers;

  return {
    "overview: counts, charts with units, latest jobs": async () => {
      await open("overview");
      await heading("Overview");
      const known = await workers();
      await until("all workers are counted", async () => (await value("Workers")) === String(known.length));
      same(await stat("Workers").locator(".stat-note").innerText(), `${known.reduce((sum, one) => sum + one.slots, 0)} slots`, "slots");
      await until("slots are in use", async () => Number(await value("Slots in use")) > 0);
      for (const [title, unit] of [["Tasks finished", "/s"], ["Memory", "B"], ["Moved between workers", "B/s"]]) {
        const label = await page.getByRole("figure", { name: new RegExp(`^${title}: `) }).getAttribute("aria-label");
        check(label.includes(unit), `${title} says its unit: ${label}`);
      }
      await until("charts are drawn", async () => (await page.locator(".plot canvas").count()) === 6);
      // What the legend says while points arrive: the same as is told to screen readers.
      const told = () => page.getByRole("figure").evaluateAll((all) => all.map((one) => { const items = [...one.querySelectorAll(".legend-item")]; return [one.getAttribute("aria-label"), `${one.querySelector("h2").innerText}: ${items.map((item) => item.innerText.replace(/\s+/g, " ").trim()).join(", ")}`]; }));
      const points = (await api.get("live/history?span=hour")).points.length;
      await until("five more points", async () => (await api.get("live/history?span=hour")).points.length >= points + 5);
      for (const [label, legend] of await told()) same(legend, label, "the legend");
      for (const span of ["15 min", "1 h", "1 day", "5 min"]) {
        await page.getByRole("button", { name: span, exact: true }).click();
        await page.locator(".segments [aria-pressed=true]", { hasText: span }).waitFor();
      }
      await page.locator(".plot canvas").first().waitFor();
      const newest = (await api.get("jobs?limit=8")).jobs.map((job) => shortId(job.id));
      await untilSame("the latest jobs are listed", async () => (await rows("jobs")).map((row) => row[7]), async () => newest);
      await axeBoth(page, "overview");
      await page.getByRole("link", { name: "All jobs" }).click();
      await heading("Jobs");
    },
    "jobs: every job, its state and counts; search, order, a row leads to the job and back": async () => {
      await open("jobs");
      const isOver = (state) => ["succeeded", "failed", "cancelled"].includes(state);
      const wanted = async () => (await api.get("jobs?limit=200")).jobs.filter((job) => isOver(job.state)).map((job) => [shortId(job.id), job.state, `${job.tasks.stored + job.tasks.released} / ${job.tasks.total}`, String(job.tasks.failed)]);
      const shown = async () => (await rows("jobs")).filter((row) => isOver(row[1])).map((row) => [row[7], row[1], row[3], row[4]]);
      await untilSame("jobs are as the gateway says", shown, wanted);
      await axeBoth(page, "jobs");
      const name = page.getByRole("columnheader", { name: /^Job/ });
      await name.getByRole("button").click();
      const names = (await rows("jobs")).map((row) => row[0]);
      same(names, [...names].sort((a, b) => a.localeCompare(b, "en", { numeric: true })), "sorted by name");
      same(await name.getAttribute("aria-sort"), "ascending", "the order is told");
      await page.getByLabel("Search jobs").fill("fit mod");
      await until("one job is left", async () => (await rows("jobs")).length === 1);
      check(page.url().endsWith("#/jobs?q=fit+mod"), `the search is in the link: ${page.url()}`);
      await page.getByRole("link", { name: failing.name }).click();
      await heading("fit models failed");
      await page.goBack();
      await heading("Jobs");
      same(await page.getByLabel("Search jobs").inputValue(), "fit mod", "the search after going back");
      await page.getByLabel("Search jobs").fill("no such job");
      await page.getByText("No job fits").waitFor();
      await page.getByLabel("Search jobs").fill("");
      await page.getByLabel("State", { exact: true }).selectOption("failed");
      await untilSame("only failed jobs", async () => (await rows("jobs")).map((row) => row[1]), async () => ["failed", "failed"]);
    },
    "job: progress by operation, tasks, task stream, graph, events": async () => {
      const job = await api.job(ids.naps);
      await open(`jobs/${ids.naps}`);
      await heading("naps succeeded");
      await until("all are done", async () => (await value("Tasks done")) === String(job.tasks.total));
      await page.getByText("team: tests").waitFor();
      const { layers } = await api.get(`jobs/${ids.naps}/layers`);
      await untilSame("operations and counts", async () => (await rows(`layers-${ids.naps}`)).map((row) => row[3]), async () => layers.map((layer) => `${layer.tasks.stored + layer.tasks.released} / ${layer.tasks.total}`));
      await axeBoth(page, "job, progress");
      const parts = page.getByRole("navigation", { name: "Parts of the job" });
      await parts.getByRole("link", { name: "Tasks", exact: true }).click();
      const { tasks } = await api.get(`jobs/${ids.naps}/tasks?limit=5`);
      await untilSame("tasks and states", async () => (await rows(`tasks-${ids.naps}`)).slice(0, 5).map((row) => [row[0], row[2]]), async () => tasks.map((task) => [task.key, task.state]));
      await page.getByLabel("State of the task").selectOption("stored");
      await untilSame("only the wanted result is still stored", async () => (await rows(`tasks-${ids.naps}`)).map((row) => row[0]), async () => ["all"]);
      await axeBoth(page, "job, tasks");
      await page.getByLabel("Key of a task").fill("nap-3");
      await page.getByLabel("Key of a task").press("Enter");
      await heading("nap-3 released");
      await page.goBack();
      await parts.getByRole("link", { name: "Task stream" }).click();
      await until("every run is in sight", async () => Number.parseInt(await page.locator(".grow-end").innerText()) >= job.tasks.total);
      await axeBoth(page, "job, stream");
      await parts.getByRole("link", { name: "Graph" }).click();
      await page.locator(".node-name").first().waitFor();
      same(await page.locator(".graph-box a").count(), layers.length, "a box for each layer");
      await page.getByText(/layers? deep, at least/).waitFor();
      await axeBoth(page, "job, graph");
      await page.locator(".graph-box a").first().click();
      await until("a box for each task", async () => (await page.locator(".task-node").count()) === job.tasks.total);
      await axeBoth(page, "job, tasks of a layer");
      await page.getByRole("button", { name: "← Layers" }).click();
      await page.locator(".node-name").first().waitFor();
      await parts.getByRole("link", { name: "Events" }).click();
      await page.locator(".story li", { hasText: "succeeded" }).waitFor();
      await axeBoth(page, "job, events");
    },
    "task: story, inputs, worker, output, explanation": async () => {
      const told = await api.get(`jobs/${ids.shuffle}/tasks/count-0`);
      await open(`task/${ids.shuffle}/count-0`);
      await heading("count-0 stored");
      same(bytesOf(await value("Output")), told.bytes, "the output's size");
      await page.getByText(told.explain[0]).waitFor();
      same(await page.locator(".story li").count(), told.story.length, "the story's lines");
      await page.locator(".output", { hasText: told.logs.at(-1).head.trim() }).waitFor();
      await axeBoth(page, "task");
      await page.locator(".inputs").getByRole("link", { name: "part-0" }).click();
      await heading("part-0 stored");
      await page.getByText("It reads no other task's output.").waitFor();
      await page.getByRole("main").getByRole("link", { name: "Logs" }).click();
      await heading("Logs");
    },
    "a failure is shown first, with its output": async () => {
      const job = await api.job(ids.failing);
      await open(`jobs/${ids.failing}`);
      await page.getByRole("heading", { name: "Errors first" }).waitFor();
      await page.getByLabel("Why it failed").getByText(job.error.message).waitFor();
      same(await value("Failed"), String(job.tasks.failed), "failed tasks");
      await axeBoth(page, "failed job");
      await page.locator(".failed-tasks").getByRole("link", { name: "bad" }).click();
      await heading("bad failed");
      await page.getByLabel("The last failure").getByText("no convergence").waitFor();
      await page.locator(".output", { hasText: "about to fail" }).first().waitFor();
      await axeBoth(page, "failed task");
    },
    "a query: its stages, rows and cost": async () => {
      await open("jobs?q=orders");
      await page.getByRole("link", { name: "SELECT region" }).click();
      await page.getByRole("heading", { level: 1, name: /^SELECT region/ }).waitFor();
      const { layers } = await api.get(`jobs/${ids.query}/layers`);
      await untilSame("its stages", async () => (await rows(`layers-${ids.query}`)).map((row) => row[3]), async () => layers.map((layer) => `${layer.tasks.stored + layer.tasks.released} / ${layer.tasks.total}`));
      check((await rows(`layers-${ids.query}`)).some((row) => row[0].includes("plan")), "the plan is a stage");
      await axeBoth(page, "query");
    },
    "graph: the chosen job, its critical path, and a layer's tasks": async () => {
      await open("graph");
      await heading("Graph");
      await page.locator(".node-name").first().waitFor();
      await page.getByLabel("Job", { exact: true }).selectOption(ids.shuffle);
      await page.locator(".node-name", { hasText: "bench:blob" }).waitFor();
      await page.locator(".edge-critical").first().waitFor({ state: "attached" });
      await page.getByLabel("Critical path").uncheck();
      same(await page.locator(".edge-critical").count(), 0, "marked edges without the critical path");
      await axeBoth(page, "graph");
      await page.locator(".graph-box a", { hasText: "bench:blob" }).click();
      await page.locator(".graph-box a", { hasText: "part-1" }).click();
      await heading("part-1 stored");
    },
    "workers: a row for each, one worker's card and lines": async () => {
      await open("workers");
      const known = await workers();
      await untilSame("every worker has a row", async () => (await rows("workers")).map((row) => [row[0], row[1]]).sort(), async () => known.map((one) => [one.name, one.state]).sort());
      await axeBoth(page, "workers");
      await page.getByLabel("Search workers").fill(known[1].name);
      await until("one is left", async () => (await rows("workers")).length === 1);
      await page.getByRole("link", { name: known[1].name }).click();
      const card = page.getByRole("region", { name: `Worker ${known[1].name}` });
      await card.getByText(known[1].id).waitFor();
      await card.locator(".line").first().waitFor();
      check(bytesOf(await card.locator(".stat", { hasText: "Limit" }).locator(".stat-value").innerText()) === known[1].memory_limit, "the memory limit");
      await axeBoth(page, "one worker");
      await card.getByRole("button", { name: "Close" }).click();
      await card.waitFor({ state: "detached" });
    },
    "memory: by worker, by operation, by object": async () => {
      await open("memory");
      const stored = async () => (await api.get("live/workers")).numbers.stored.reduce((sum, bytes) => sum + bytes, 0);
      await until("managed memory is what workers store", async () => isNear(bytesOf(await value("Managed")), await stored()));
      check((await stored()) >= BLOB * BLOBS, "the wanted blobs are stored");
      same((await rows("memory-by-worker")).length, (await workers()).length, "workers");
      await axeBoth(page, "memory");
      await page.getByRole("link", { name: "By operation" }).click();
      const row = await until("the operation that holds most", async () => (await rows("memory-by-operation"))[0]);
      check(row[0].startsWith("bench:blob") && isNear(bytesOf(row[3]), BLOB * BLOBS), `${row} is what blobs hold`);
      await axeBoth(page, "memory by operation");
      await page.getByRole("link", { name: "Largest objects" }).click();
      await until("the largest objects", async () => (await rows("largest-objects")).filter((one) => one[0].startsWith("part-") && isNear(bytesOf(one[3]), BLOB) && one[5] === "with the job").length === BLOBS);
      await axeBoth(page, "memory by object");
      await page.getByRole("link", { name: "part-4" }).click();
      await heading("part-4 stored");
    },
    "transfers: who sent how much to whom": async () => {
      await open("transfers?show=total");
      const known = new Map((await workers()).map((one) => [one.id, one.name]));
      const wanted = (await api.get("live/transfers")).transfers.map((flow) => [known.get(flow.from), known.get(flow.to), String(flow.objects)]).sort();
      await untilSame("the pairs", async () => (await rows("transfers")).map((row) => [row[0], row[1], row[4]]).sort(), async () => wanted);
      check(wanted.length >= 2, "two workers sent");
      const canvas = page.locator(".matrix canvas");
      check((await canvas.getAttribute("aria-label")).includes("Matrix of 3 workers"), "the matrix is told in words");
      await canvas.hover({ position: { x: 110, y: 112 } });
      await page.locator(".tip", { hasText: /MiB in \d+ objects/ }).waitFor();
      await axeBoth(page, "transfers");
      await page.getByRole("button", { name: "Now, B/s" }).click();
      await page.locator(".segments [aria-pressed=true]", { hasText: "Now" }).waitFor();
    },
    "profile: time by operation, and the run that took longest": async () => {
      await open(`profile?job=${ids.skewed}`);
      const row = await until("the operation's row", async () => (await rows("operations"))[0]);
      same(row[2], "31", "runs");
      const note = page.getByRole("list", { name: "Skew" }).getByText(/differ \d+×/);
      await note.waitFor();
      await axeBoth(page, "profile");
      await page.locator("button.flame-leaf").click();
      await page.getByRole("button", { name: /^all / }).click();
      check(!page.url().includes("at="), "the whole again");
      await page.getByRole("button", { name: "Open the longest" }).click();
      await heading("image-slow stored");
      await open("profile");
      await page.getByLabel("Job", { exact: true }).selectOption({ label: "All jobs since the gateway began" });
      await until("operations of all jobs", async () => (await rows("operations")).length > 3);
    },
    "logs: followed, searched, filtered": async () => {
      await open("logs");
      await page.getByRole("button", { name: "Following" }).waitFor();
      await page.getByLabel("Text").fill("nap 7 DONE");
      await untilSame("the line that a task wrote", async () => await page.locator(".line .wrap").allInnerTexts(), async () => ["nap 7 done"]);
      await axeBoth(page, "logs");
      await page.getByLabel("Text").fill("");
      await page.getByLabel("Level").selectOption("error");
      await until("only errors", async () => (await page.locator(".line").count()) > 0 && (await page.locator(".line:not(.line-error)").count()) === 0);
      await page.locator(".line .where a").first().click();
      await page.getByRole("heading", { name: "Errors first" }).waitFor();
    },
    "system: services and who leads": async () => {
      await open("system");
      const system = await api.get("system");
      await page.getByText(system.leader).first().waitFor();
      await page.getByText(system.gateway.id).waitFor();
      await page.getByText(`version ${system.gateway.version}`).waitFor();
      same(await page.locator(".service .badge.service-bad").count(), 0, "services that are unwell");
      await axeBoth(page, "system");
      await table("none").waitFor({ state: "detached" });
    },
  };
}

/** While the naps run: what only moving jobs show. */
export function moving({ page, base, api, ids }) {
  const { open, heading, rows, value } = looker(page, base);
  return {
    "a running job is seen to move": async () => {
      const { id } = await api.post("jobs", naps(40, 0.5));
      ids.naps = id;
      await open(`jobs/${id}`);
      await page.getByRole("button", { name: "Cancel", exact: true }).waitFor();
      await until("some are done", async () => Number(await value("Tasks done")) > 0);
      const before = Number(await value("Tasks done"));
      await until("more are done", async () => Number(await value("Tasks done")) > before);
      await open("jobs");
      await until("the job is running", async () => (await rows("jobs")).some((row) => row[0] === "naps" && ["running", "succeeded"].includes(row[1])));
      await open(`jobs/${id}`);
      await heading("naps succeeded");
      await page.getByRole("button", { name: "Run again" }).waitFor();
    },
  };
}
