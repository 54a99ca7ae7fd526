// Starts a server and a browser, and fails where a page complains.

import { spawn } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const IMAGES = new URL("../../docs/img/", import.meta.url).pathname;
const BROWSER = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Longest wait for a condition. */
export const LIMIT = 30_000;

export function check(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

export async function until(what, condition) {
  const end = Date.now() + LIMIT;
  while (Date.now() < end) {
    if (await condition()) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`not in time: ${what}`);
}

/** Starts a program and waits for a line that `pattern` matches, on either output. */
export async function start(program, args, pattern, env = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  const stop = () => new Promise((done) => {
    child.once("exit", done);
    child.kill("SIGTERM");
  });
  const matched = new Promise((found, failed) => {
    child.once("exit", (code) => failed(new Error(`${program} ended with ${code}`)));
    child.once("error", failed);
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output }).on("line", (line) => {
        const match = pattern.exec(line);
        if (match) found(match);
      });
    }
  });
  return { match: await matched, stop };
}

/** A browser whose pages may not complain, nor ask any other host. */
export async function browse(base, options = {}) {
  const browser = await chromium.launch({ executablePath: BROWSER, args: FLAGS });
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const complaints = [];
  const watch = (page) => {
    page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error" && !isExpected(message)) complaints.push(`${page.url()}: ${message.text()}`);
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (/^https?:$/.test(url.protocol) && url.origin !== new URL(base).origin) complaints.push(`${page.url()} asked ${url.origin}`);
    });
  };
  context.on("page", watch);
  // A bundle in place of the one that is compiled in, to try a change without compiling the gateway again.
  const dist = process.env["DASHBOARD_DIST"];
  if (dist) await context.route("**/assets/app.*", (route) => route.fulfill({ path: `${dist}/assets/${new URL(route.request().url()).pathname.split("/").at(-1)}` }));
  return { browser, context, complaints, page: await context.newPage() };
}

/** Browsers log every refusal; before the sign-in it is what must happen. */
function isExpected(message) {
  return message.text().includes("401") && message.location().url.endsWith("/v1/system");
}

/** What axe finds wrong on the page as it is. */
export async function axe(page, where) {
  // Run by the browser's debugger: the page's policy lets no script in.
  const source = await readFile(AXE, "utf8");
  await page.evaluate(source);
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] });
    return result.violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
  });
  check(found.length === 0, `${where} has no accessibility faults:\n  ${found.join("\n  ")}`);
}

export async function picture(page, name) {
  await mkdir(IMAGES, { recursive: true });
  await page.screenshot({ path: `${IMAGES}${name}.jpg`, type: "jpeg", quality: 72 });
}

/** Runs the steps in order, and says what each took. */
export async function run(steps) {
  for (const [title, step] of Object.entries(steps)) {
    const began = Date.now();
    try {
      await step();
    } catch (error) {
      console.error(`FAILED ${title}: ${error.message}`);
      throw error;
    }
    console.log(`ok ${title} (${((Date.now() - began) / 1_000).toFixed(1)} s)`);
  }
}
