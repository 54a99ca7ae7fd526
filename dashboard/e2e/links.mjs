// Every view is a link: opened in a tab that knows nothing, it shows the same; every table there can be exported.

import { axeBoth, check, same, until } from "./harness.mjs";
import { looker } from "./pages.mjs";

export function links({ context, base, page, api, ids, complaints }) {
  const { open, heading } = looker(page, base);
  /** Opens a link in a tab of its own, as somebody does to whom it was sent. */
  const inNewTab = async (hash, look) => {
    const tab = await context.newPage();
    try {
      await tab.goto(`${base}#/${hash}`);
      await look(tab, looker(tab, base));
    } finally {
      await tab.close();
    }
  };
  const pressed = (tab, name) => tab.getByRole("button", { name, exact: true }).and(tab.locator("[aria-pressed=true]")).waitFor();

  return {
    "a shared link shows the same view": async () => {
      const { workers } = await api.get("workers");
      const views = {
        "overview?span=15m": (tab) => pressed(tab, "15 min"),
        "jobs?q=fit&state=failed": (tab, { rows }) => until("the one job", async () => (await rows("jobs")).length === 1),
        [`graph?job=${ids.shuffle}&layer=0`]: (tab) => tab.locator(".task-node").first().waitFor(),
        [`workers?worker=${workers[1].id}&q=worker`]: (tab) => tab.getByRole("region", { name: `Worker ${workers[1].name}` }).waitFor(),
        "memory?by=operation": (tab, { table }) => table("memory-by-operation").waitFor(),
        "transfers?show=total": (tab) => pressed(tab, "In all, B"),
        [`profile?job=${ids.skewed}`]: (tab, { rows }) => until("the one operation", async () => (await rows("operations")).length === 1),
        "logs?level=error&q=exit+code+3": async (tab) => {
          await tab.locator(".line").first().waitFor();
          same(await tab.getByLabel("Text").inputValue(), "exit code 3", "the search");
        },
        [`jobs/${ids.naps}?tab=tasks&state=stored`]: (tab, { rows }) => until("the one result", async () => (await rows(`tasks-${ids.naps}`)).length === 1),
      };
      for (const [hash, look] of Object.entries(views)) await inNewTab(hash, look);
    },
    "the time that the task stream shows is in its link": async () => {
      await open("stream");
      await page.locator(".stream-legend .op").first().waitFor();
      await page.getByRole("button", { name: "5 min", exact: true }).click();
      await page.getByRole("button", { name: "Earlier" }).click();
      await until("the time is in the link", () => /[?&]to=\d{13}/.test(page.url()) && page.url().includes("ms=300000"));
      await inNewTab(page.url().split("#/")[1], async (tab) => {
        await pressed(tab, "5 min");
        await tab.getByRole("button", { name: "Follow", exact: true }).waitFor();
        await until("the link stays", () => tab.url() === page.url());
      });
      await page.getByRole("button", { name: "Follow", exact: true }).click();
      await until("following needs no time", () => !page.url().includes("to="));
    },
    "every table can be exported and is told apart by its name": async () => {
      const hashes = ["overview", "jobs", "workers", "memory", "memory?by=operation", "memory?by=object", "transfers", "profile", `jobs/${ids.naps}`, `jobs/${ids.naps}?tab=tasks`];
      for (const hash of hashes) {
        await open(hash);
        await page.getByRole("table").first().waitFor();
        const tables = await page.getByRole("table").evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
        check(tables.every(Boolean) && new Set(tables).size === tables.length, `${hash}: tables have names: ${tables}`);
        const buttons = page.locator(".table-frame", { has: page.getByRole("table") }).getByRole("button", { name: "Export CSV" });
        same(await buttons.count(), tables.length, `${hash}: buttons for ${tables}`);
        // At the width of a small laptop nothing but the rows may need to be scrolled.
        const hidden = await page.getByRole("table").evaluateAll((all) => all.map((one) => one.scrollWidth - one.clientWidth));
        check(hidden.every((pixels) => pixels <= 0), `${hash}: every column is in sight, ${hidden} pixels are not`);
      }
    },
    "what does not exist is said, with a way back": async () => {
      const missing = "01a20000-0000-7000-8000-000000000000";
      await open("nowhere");
      await heading("No such page");
      await axeBoth(page, "no such page");
      await page.getByRole("link", { name: "overview", exact: true }).click();
      await heading("Overview");
      for (const [hash, title] of [[`jobs/${missing}`, "Job"], ["jobs/nonsense", "Job"], [`task/${missing}/a`, "Task"]]) {
        await open(hash);
        await heading(title);
        await page.getByRole("alert").waitFor();
        await axeBoth(page, hash);
      }
      await open("overview");
      await heading("Overview");
      // Browsers log what was refused; here it is what must happen.
      complaints.splice(0, complaints.length, ...complaints.filter((complaint) => !/status of 40[04]/.test(complaint)));
    },
  };
}
