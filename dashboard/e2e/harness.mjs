// Starts a server and a browser, and fails where a page complains.

import { spawn } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const BROWSER = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Longest wait for a condition: machines that run tests are busy. */
export const LIMIT = Number(process.env["E2E_LIMIT_S"] ?? 60) * 1_000;
/** How long a server may take to stop by itself. */
const STOP = 30_000;

export function check(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

export function same(found, wanted, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  check(a === b, `${what}: ${a} is not ${b}`);
}

/** Waits until `condition` holds; what it last threw is part of the complaint. */
export async function until(what, condition) {
  const end = Date.now() + LIMIT;
  let last;
  do {
    try {
      const found = await condition();
      if (found) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await new Promise((done) => setTimeout(done, 100));
  } while (Date.now() < end);
  throw new Error(`not in time: ${what}${last ? ` (${last.message})` : ""}`);
}

/** Waits until what is found equals what is wanted; both are asked for again and again. */
export async function untilSame(what, find, want) {
  let [found, wanted] = ["", ""];
  await until(what, async () => {
    [found, wanted] = [JSON.stringify(await find()), JSON.stringify(await want())];
    if (found !== wanted) throw new Error(`${found} is not ${wanted}`);
    return true;
  });
}

/** Starts a program and waits for a line that `pattern` matches, on either output. */
export async function start(program, args, pattern, env = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  // Whatever ends this program ends that one.
  process.once("exit", () => child.kill("SIGKILL"));
  const tail = [];
  const ended = new Promise((done) => child.once("exit", done));
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP);
    await ended;
    clearTimeout(timer);
  };
  const matched = new Promise((found, failed) => {
    setTimeout(() => failed(new Error(`${program} says nothing that fits ${pattern}:\n${tail.join("\n")}`)), LIMIT).unref();
    child.once("exit", (code) => failed(new Error(`${program} ended with ${code}:\n${tail.join("\n")}`)));
    child.once("error", failed);
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output }).on("line", (line) => {
        tail.push(line);
        if (tail.length > 40) tail.shift();
        const match = pattern.exec(line);
        if (match) found(match);
      });
    }
  });
  try {
    return { match: await matched, stop, tail };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A browser whose pages may not complain, nor ask any other host. */
export async function browse(base, options = {}) {
  const browser = await chromium.launch({ executablePath: BROWSER, args: FLAGS, timeout: LIMIT });
  const complaints = [];
  const watch = (page) => {
    page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && !isExpected(message)) complaints.push(`${page.url()}: ${message.text()}`);
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (/^(https?|wss?):$/.test(url.protocol) && url.host !== new URL(base).host) complaints.push(`${page.url()} asked ${url.origin}`);
    });
  };
  /** One more visitor, who knows nothing of the others. `isWatched` says whether complaints count. */
  const visit = async (isWatched = true) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true, ...options });
    context.setDefaultTimeout(LIMIT);
    if (isWatched) context.on("page", watch);
    // A bundle in place of the one that is compiled in, to try a change without compiling the gateway again.
    const dist = process.env["DASHBOARD_DIST"];
    if (dist) await context.route("**/assets/app.*", (route) => stand(route, dist, base));
    return context;
  };
  const context = await visit();
  return { browser, context, complaints, visit, page: await context.newPage() };
}

/** Answers with the file of another bundle; foreign pages are left to what the gateway says to them. */
function stand(route, dist, base) {
  const request = route.request();
  if (!request.frame().url().startsWith(base)) return route.continue();
  return route.fulfill({ path: `${dist}/assets/${new URL(request.url()).pathname.split("/").at(-1)}` });
}

/** Browsers log every refusal; before the sign-in it is what must happen. */
function isExpected(message) {
  return message.text().includes("401") && message.location().url.endsWith("/v1/system");
}

/** What axe finds wrong on the page as it is. */
export async function axe(page, where) {
  // Run by the browser's debugger: the page's policy lets no script in.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(await readFile(AXE, "utf8"));
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"], resultTypes: ["violations"] });
    return result.violations.map((one) => `${one.impact} ${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
  });
  check(found.length === 0, `${where} has no accessibility faults:\n  ${found.join("\n  ")}`);
}

/** Looks for faults in both themes. */
export async function axeBoth(page, where) {
  for (const theme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme: theme });
    await page.locator(`html[data-theme=${theme}]`).waitFor({ state: "attached" });
    await axe(page, `${where}, ${theme}`);
  }
}

/** What a step returns that could not be taken here, with the reason. */
export const skipped = (why) => ({ skipped: why });

/** Runs the steps in order, all of them, and says what each took. A failure leaves a picture and names it. */
export async function run(steps, page) {
  const failed = [];
  for (const [title, step] of Object.entries(steps)) {
    const began = Date.now();
    try {
      const told = await step();
      console.log(told?.skipped ? `skipped ${title}: ${told.skipped}` : `ok ${title} (${((Date.now() - began) / 1_000).toFixed(1)} s)`);
    } catch (error) {
      console.error(`FAILED ${title}: ${error.message}`);
      failed.push(title);
      if (page) await shoot(page, failed.length);
    }
  }
  check(failed.length === 0, `every step passes; these failed: ${failed.join("; ")}`);
}

async function shoot(page, number) {
  const folder = process.env["E2E_ARTEFACTS"] ?? join(tmpdir(), "millstream-dashboard-e2e");
  await mkdir(folder, { recursive: true });
  const path = join(folder, `failed-${number}.png`);
  await page.screenshot({ path, timeout: 10_000 }).then(
    () => console.error(`       at ${page.url()}; see ${path}`),
    () => undefined,
  );
}
