// What people do: the task stream's canvas, keys, themes, files, cancelling, draining; and hostile names.

import { readFile } from "node:fs/promises";
import { axeBoth, check, same, until } from "./harness.mjs";
import { EVIL, hostile } from "./jobs.mjs";
import { looker } from "./pages.mjs";

/** The fields of a CSV file. */
function csv(text) {
  return text.trim().split("\r\n").map((line) => [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) => (quoted === undefined ? plain : quoted.replaceAll('""', '"'))));
}

export function actions({ page, base, api, ids }) {
  const { open, heading, rows } = looker(page, base);
  const follow = (isOn) => page.locator(`.stream-tools > [aria-pressed=${isOn}]`).waitFor();
  const canvas = page.locator(".stream canvas");
  const length = async () => /over (.*)\. Plus/.exec(await canvas.getAttribute("aria-label"))[1];
  const exported = async () => {
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export CSV" }).first().click()]);
    return { name: file.suggestedFilename(), rows: csv(await readFile(await file.path(), "utf8")) };
  };
  const run = async (id) => (await api.job(id)).state;

  return {
    "the task stream zooms, moves, follows, and a block leads to its task": async () => {
      await open("stream");
      await follow(true);
      await page.locator(".stream-legend .op").first().waitFor();
      await axeBoth(page, "task stream");
      same(await length(), "1 min 0 s", "the time shown at first");
      await page.getByRole("button", { name: "5 min", exact: true }).click();
      await until("five minutes", async () => (await length()) === "5 min 0 s");
      await page.getByRole("button", { name: "Zoom in" }).click();
      await until("zoomed in", async () => (await length()) === "3 min 30 s");
      await canvas.focus();
      await page.keyboard.press("-");
      await until("zoomed out", async () => (await length()) === "4 min 54 s");
      await page.keyboard.press("ArrowLeft");
      await follow(false);
      await page.keyboard.press("End");
      await follow(true);
      const box = await canvas.boundingBox();
      await page.mouse.move(box.x + 600, box.y + 40);
      await page.mouse.down();
      await page.mouse.move(box.x + 800, box.y + 40, { steps: 4 });
      await page.mouse.up();
      await follow(false);
      await page.getByRole("button", { name: "Follow", exact: true }).click();
      await follow(true);
      const op = page.locator(".stream-legend button").first();
      await op.click();
      same(await op.getAttribute("aria-pressed"), "false", "an operation is hidden");
      await open(`jobs/${ids.skewed}?tab=stream`);
      await page.locator(".stream-legend .op", { hasText: "bench:sleep_ms" }).waitFor();
      const area = await canvas.boundingBox();
      const tip = page.locator(".tip");
      // The slow run lasts nearly as long as the job: half way through it nothing else is left to point at.
      await until("the slow run is under the pointer", async () => {
        for (let y = 26; y < area.height - 4; y += 9) {
          await page.mouse.move(area.x + 112 + (area.width - 112) * 0.6, area.y + y);
          await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
          // The slow one is task 0.
          if ((await tip.locator("dd").allInnerTexts())[2] === "0") return true;
        }
        return false;
      });
      const [frame, tipBox] = [await page.locator(".stream-canvas").boundingBox(), await tip.boundingBox()];
      check(tipBox.y >= frame.y && tipBox.y + tipBox.height <= frame.y + frame.height, "the tip is not cut off");
      await page.mouse.down();
      await page.mouse.up();
      await heading("image-slow stored");
    },
    "keys lead to every page": async () => {
      await open("overview");
      await heading("Overview");
      for (const [letter, title] of [["j", "Jobs"], ["s", "Task stream"], ["g", "Graph"], ["w", "Workers"], ["m", "Memory"], ["t", "Transfers"], ["p", "Profile"], ["l", "Logs"], ["y", "System"], ["o", "Overview"]]) {
        await page.keyboard.press("g");
        await page.keyboard.press(letter);
        await heading(title);
      }
      await page.keyboard.press("?");
      const dialog = page.getByRole("dialog", { name: "Keys" });
      await dialog.waitFor();
      await axeBoth(page, "keys");
      await page.keyboard.press("Escape");
      await dialog.waitFor({ state: "hidden" });
      await open("workers");
      await heading("Workers");
      await page.keyboard.press("/");
      await page.keyboard.type("worker-2");
      same(await page.getByLabel("Search workers").inputValue(), "worker-2", "typed into the search");
      await until("one worker is left", async () => (await rows("workers")).length === 1);
    },
    "the frame is reached by the Tab key, and a theme stays": async () => {
      await open("jobs");
      await page.reload();
      await heading("Jobs");
      await page.keyboard.press("Tab");
      same(await page.evaluate(() => document.activeElement?.textContent), "Skip to the page", "what has the focus first");
      await page.keyboard.press("Enter");
      same(await page.evaluate(() => document.activeElement?.id), "main", "what it leads to");
      await page.getByRole("button", { name: "Dark", exact: true }).click();
      await page.locator("html[data-theme=dark]").waitFor();
      await page.reload();
      await heading("Jobs");
      await page.locator("html[data-theme=dark]").waitFor();
      await page.getByRole("button", { name: "Light", exact: true }).click();
      await page.locator("html[data-theme=light]").waitFor();
      await page.evaluate(() => localStorage.clear());
      await page.reload();
    },
    "tables and lines leave as CSV": async () => {
      await open("workers");
      await until("rows", async () => (await rows("workers")).length === 3);
      const workers = await exported();
      same(workers.name, "workers.csv", "the file's name");
      same(workers.rows[0].slice(0, 4), ["Worker", "State", "Host", "CPU (cores)"], "labels and units");
      same(workers.rows.slice(1).map((row) => row[0]).sort(), (await api.get("workers")).workers.map((one) => one.name).sort(), "names");
      await open(`jobs/${ids.naps}?tab=tasks`);
      await until("tasks", async () => (await rows(`tasks-${ids.naps}`)).length > 10);
      const tasks = await exported();
      const { tasks: known } = await api.get(`jobs/${ids.naps}/tasks?limit=1000`);
      same(tasks.rows.slice(1).map((row) => [row[0], row[2]]), known.map((task) => [task.key, task.state]), "all tasks, not only those in sight");
      await open(`jobs/${ids.hostile}?tab=tasks`);
      await until("hostile tasks", async () => (await rows(`tasks-${ids.hostile}`)).length === hostile.tasks.length);
      const cells = (await exported()).rows.slice(1).map((row) => row[0]);
      check(cells.includes("'=cmd|'/c calc'!A1"), "a formula leaves as a text");
      check(cells.includes(EVIL), "a name leaves as it is");
      await open(`logs?job=${ids.naps}`);
      await page.locator(".line").first().waitFor();
      const lines = await exported();
      check(lines.name === "logs.csv" && lines.rows.some((row) => row[5] === "nap 7 done"), "lines leave as CSV");
    },
    "hostile names are only texts": async () => {
      for (const hash of ["overview", "jobs", "stream", "graph", "memory?by=object", "profile", "logs", `logs?job=${ids.hostile}`, `jobs/${ids.hostile}`, `jobs/${ids.hostile}?tab=tasks`, `jobs/${ids.hostile}?tab=stream`, `jobs/${ids.hostile}?tab=graph`, `jobs/${ids.hostile}?tab=graph&layer=0`, `jobs/${ids.hostile}?tab=events`]) {
        await open(hash);
        await until(`${hash} has something to show`, async () => (await page.locator("main .loading").count()) === 0 && (await page.locator("main").innerText()).length > 40);
        await isHarmless(page, hash);
      }
      for (const { key } of hostile.tasks) {
        await open(`jobs/${ids.hostile}?tab=tasks`);
        const link = page.locator(".table-row a.row-link").nth(hostile.tasks.findIndex((task) => task.key === key));
        await link.click();
        await page.getByRole("heading", { name: "Story" }).waitFor();
        const text = await page.locator("h1 bdi").textContent();
        check(key.startsWith(text.replace(/…$/, "")) && text.length <= 200, `the task's name is shown, cut: ${text.slice(0, 120)}`);
        await isHarmless(page, `task ${key.slice(0, 20)}`);
      }
      await open(`jobs/${ids.hostile}`);
      await page.getByRole("heading", { name: "Errors first" }).waitFor();
      await axeBoth(page, "hostile job");
    },
    "a job is cancelled after a question, and run again": async () => {
      const id = ids.endless;
      await open(`jobs/${id}`);
      await page.getByRole("button", { name: "Cancel", exact: true }).click();
      await page.getByRole("dialog", { name: "Cancel long simulation?" }).waitFor();
      await axeBoth(page, "question");
      await page.getByRole("button", { name: "Not now" }).click();
      same(await run(id), "running", "the job after a no");
      await page.getByRole("button", { name: "Cancel", exact: true }).click();
      await page.getByRole("button", { name: "Cancel the job" }).click();
      await until("the job is cancelled", async () => (await run(id)) === "cancelled");
      await heading("long simulation cancelled");
      await page.getByRole("button", { name: "Run again" }).click();
      await until("a new job is shown", () => !page.url().includes(id) && page.url().includes("#/jobs/"));
      const again = page.url().split("/").at(-1);
      same((await api.job(again)).name, "long simulation", "the job that was submitted again");
      await page.getByRole("button", { name: "Cancel", exact: true }).click();
      await page.getByRole("button", { name: "Cancel the job" }).click();
      await until("it is cancelled too", async () => (await run(again)) === "cancelled");
    },
    "a worker is drained after a question": async () => {
      const { workers } = await api.get("workers");
      const chosen = workers.find((worker) => worker.name === "worker-2");
      await open(`workers?worker=${chosen.id}`);
      await page.getByRole("button", { name: "Drain", exact: true }).click();
      await page.getByRole("button", { name: "Drain the worker" }).click();
      await until("the worker drains", async () => !(await api.get("workers")).workers.some((worker) => worker.id === chosen.id && worker.state === "active"));
      await open("workers");
      await until("the page shows it", async () => !(await rows("workers")).some((row) => row[0] === "worker-2" && row[1] === "active"));
      check((await rows("workers")).filter((row) => row[1] === "active").length === 2, "the others stay");
    },
  };
}

async function isHarmless(page, where) {
  same(await page.evaluate(() => window.pwned ?? null), null, `${where}: what a name has run`);
  same(await page.locator("#app :is(img, script, iframe, object, style)").count(), 0, `${where}: elements that a name made`);
  same(await page.locator("a[href^='javascript:']").count(), 0, `${where}: links that run something`);
  const [wide, inside] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  check(wide <= inside, `${where}: no name widens the page (${wide} > ${inside})`);
}
