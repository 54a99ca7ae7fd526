// The dashboard of a real cluster while real jobs run: the binary with two workers, commands, a query, a failure.
//
//   node e2e/cluster.mjs MILLSTREAM

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { axe, browse, check, run, start, until } from "./harness.mjs";

const [binary] = process.argv.slice(2);
const TOKEN = "dashboard-test-token";

async function main() {
  const home = await mkdtemp(join(tmpdir(), "millstream-dashboard-"));
  const env = { HOME: home, MILLSTREAM_TOKEN: TOKEN };
  const server = await start(binary, ["up", "--workers", "2", "--slots", "2", "--port", "0"], /the dashboard, for one browser: (\S+)/, env);
  const link = server.match[1];
  const base = `${new URL(link).origin}/`;
  const { browser, complaints, page } = await browse(base);
  const post = async (path, body) => {
    const response = await fetch(`${base}v1/${path}`, { method: "POST", headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" }, body: JSON.stringify(body) });
    check(response.ok, `POST ${path}: ${response.status}`);
    return response.json();
  };
  const open = (hash) => page.goto(`${base}#/${hash}`);
  const sleeps = Array.from({ length: 40 }, (_, n) => ({ key: `nap-${n}`, op: "command", argv: ["sh", "-c", `sleep 0.3; echo nap ${n} done`] }));
  try {
    await run({
      "the printed link signs in": async () => {
        await page.goto(link);
        await page.getByRole("heading", { name: "Overview" }).waitFor();
        await until("both workers are seen", async () => (await page.locator(".stat-value").first().innerText()) === "2");
      },
      "a running job fills every page": async () => {
        const last = { key: "all", op: "command", argv: ["true"], deps: sleeps.map((task) => task.key) };
        const job = await post("jobs", { name: "naps", tasks: [...sleeps, last], outputs: ["all"] });
        await open(`jobs/${job.id}`);
        await page.locator(".table-row").first().waitFor();
        await open("stream");
        await page.locator(".stream-legend .op").first().waitFor();
        await until("blocks are drawn", async () => /^[1-9]/.test(await page.locator(".grow-end").innerText()));
        await axe(page, "stream");
        await open("profile");
        await page.locator(".flame-leaf").first().waitFor();
        await open(`jobs/${job.id}?tab=graph`);
        await page.locator(".node-name").first().waitFor();
        await open(`task/${job.id}/nap-0`);
        await page.getByText("nap 0 done").waitFor();
        await open("logs");
        await page.getByText(/nap \d+ done/).first().waitFor();
        await until("the job has succeeded", async () => {
          await open("jobs");
          await page.locator(".table-row").first().waitFor();
          return (await page.locator(".table-row .badge").first().innerText()) === "succeeded";
        });
      },
      "a failure is shown first": async () => {
        const job = await post("jobs?wait=20s", { tasks: [{ key: "bad", op: "command", argv: ["sh", "-c", "echo about to fail; exit 3"] }], outputs: ["bad"] });
        await open(`jobs/${job.id}`);
        await page.getByRole("heading", { name: "Errors first" }).waitFor();
        await page.locator(".failed-tasks a").click();
        await page.getByText("about to fail").first().waitFor();
        await axe(page, "failed task");
      },
      "a query shows its stages": async () => {
        await post("sql", { query: "SELECT 1 + 1 AS two" });
        await open("jobs");
        await page.locator(".row-link", { hasText: "SELECT" }).first().click();
        await page.locator(".table-row").first().waitFor();
      },
    });
    check(complaints.length === 0, `no page complains:\n  ${complaints.join("\n  ")}`);
  } finally {
    await browser.close();
    await server.stop();
    await rm(home, { recursive: true, force: true });
  }
}

await main();
