// Every page of a real cluster's dashboard in a real browser while real jobs run.
//
//   node e2e/cluster.mjs MILLSTREAM [--pictures] [--only=PATTERN]
//
// MILLSTREAM is the binary. `--only` leaves out the steps whose titles the pattern does not fit, but for those that make
// the jobs. With `--pictures`, those of the guide are taken into docs/img. A Python with this repository's requirements,
// named by MILLSTREAM_PYTHON, runs Python tasks too.

import { rmSync } from "node:fs";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { foreign, locked } from "./access.mjs";
import { actions } from "./actions.mjs";
import { browse, check, run, same, skipped, start, until } from "./harness.mjs";
import { client, endless, failing, hostile, orders, python, shuffle, skewed } from "./jobs.mjs";
import { links } from "./links.mjs";
import { moving, pages } from "./pages.mjs";
import { pictures } from "./pictures.mjs";

const [binary, ...flags] = process.argv.slice(2);
const only = new RegExp(flags.find((flag) => flag.startsWith("--only="))?.slice(7) ?? "");
const interpreter = process.env["MILLSTREAM_PYTHON"];
const LINE = /the dashboard, for one browser: (\S+)/;

/** A folder of its own for everything that the cluster keeps. */
function settings(home) {
  return {
    HOME: home,
    XDG_CONFIG_HOME: join(home, ".config"),
    MILLSTREAM__WORKER__SPILL_DIR: join(home, "spill"),
    MILLSTREAM__WORKER__SCRATCH_DIR: join(home, "scratch"),
  };
}

function submit({ api, ids, home, base }) {
  return {
    "commands, native tasks, a query and a failure": async () => {
      const { workers } = await api.get("workers");
      const states = {};
      for (const [name, request] of Object.entries({ failing, skewed, hostile, shuffle: shuffle(workers) })) {
        const job = await api.finish(request);
        ids[name] = job.id;
        states[name] = job.state;
      }
      same(states, { failing: "failed", skewed: "succeeded", hostile: "failed", shuffle: "succeeded" }, "how jobs ended");
      const { rows, ...query } = await orders(home);
      same(await api.post("sql", query), rows, "the query's answer");
      const { jobs } = await api.get("jobs?limit=200");
      ids.query = jobs.find((job) => job.name === query.query).id;
    },
    "python tasks, where there is a Python": async () => {
      if (!interpreter) return skipped("no environment of the Python package's tests was found");
      // Digits of the squares of 0 to 19: four of one, six of two, ten of three.
      same(await python(interpreter, base, api.token), 4 * 1 + 6 * 2 + 10 * 3, "the script's sum");
      await until("a Python job", async () => (await api.get("live/operations")).operations.some((row) => row.kind === "python" && row.finished > 0));
    },
    "a job that goes on": async () => {
      ids.endless = (await api.post("jobs", endless)).id;
    },
  };
}

/** The link that the cluster printed, in this test's browser. */
function signIn({ page, base, api, visit, link }) {
  return {
    "the printed link signs one browser in, once": async () => {
      await page.goto(link);
      await page.getByRole("heading", { name: "Overview" }).waitFor();
      check(!page.url().includes("code"), "the code is not left in the address");
      await page.getByText("Live", { exact: true }).waitFor();
      const context = await visit(false);
      const second = await context.newPage();
      await second.goto(link);
      await second.getByText("was used before").waitFor();
      same((await context.request.get(`${base}v1/jobs`)).status(), 401, "a second browser with the same link");
      await context.close();
      same((await api.get("system")).broker, true, "the broker");
    },
  };
}

/** Runs parts one after another, all of them; those that are `needed` by others run whatever `--only` says. */
async function runParts(parts, needed, told) {
  const { complaints, page } = told;
  const failed = [];
  for (const part of parts) {
    const steps = Object.entries(part(told)).filter(([title]) => needed.has(part) || only.test(title));
    await run({ ...Object.fromEntries(steps), "nothing was complained of": () => same(complaints.splice(0), [], "complaints") }, page).catch((error) => failed.push(error.message));
  }
  check(failed.length === 0, failed.join("\n"));
}

/** Runs parts on a cluster and in a browser of their own. */
async function onCluster(parts, needed) {
  const home = await mkdtemp(join(tmpdir(), "millstream-dashboard-"));
  process.once("exit", () => rmSync(home, { recursive: true, force: true }));
  let server;
  let browsing;
  try {
    server = await start(resolve(binary), ["up", "--workers", "3", "--slots", "6", "--memory-limit", "512MiB", "--port", "0"], LINE, settings(home));
    const link = server.match[1];
    const base = `${new URL(link).origin}/`;
    const token = (await readFile(join(home, ".config/millstream/token"), "utf8")).trim();
    browsing = await browse(base);
    await runParts(parts, new Set(needed), { ...browsing, base, link, api: { ...client(base, token), token }, ids: {}, home, interpreter });
  } finally {
    await browsing?.browser.close();
    await server?.stop();
  }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));
// Parts after the jobs need them, and look at them as they are.
await onCluster([locked, signIn, submit, moving, pages, links, actions, foreign], [signIn, submit, moving]);
// The guide's jobs would be in the way of tests, and tests' jobs in its pictures.
if (flags.includes("--pictures")) await onCluster([signIn, pictures], [signIn, pictures]);
