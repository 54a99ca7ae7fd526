// Real jobs for the cluster under test, and its own interface: what pages show is compared with what it answers.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { check, until } from "./harness.mjs";

/** Asks the gateway as a program does. */
export function client(base, token) {
  const ask = async (method, path, body) => {
    const headers = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) };
    const response = await fetch(`${base}v1/${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    const text = await response.text();
    check(response.ok, `${method} ${path}: ${response.status} ${text.slice(0, 300)}`);
    return text === "" ? undefined : JSON.parse(text);
  };
  const get = (path) => ask("GET", path);
  const post = (path, body) => ask("POST", path, body);
  const job = (id) => get(`jobs/${id}`);
  /** Submits a job and waits until it is over. */
  const finish = async (request) => {
    const { id } = await post("jobs", request);
    return until(`the job ${request.name} is over`, async () => {
      const told = await job(id);
      return ["succeeded", "failed", "cancelled"].includes(told.state) && told;
    });
  };
  return { get, post, job, finish };
}

/** A long chain of short commands: enough to see it move. */
export function naps(count, seconds) {
  const tasks = Array.from({ length: count }, (_, n) => ({ key: `nap-${n}`, op: "command", argv: ["sh", "-c", `sleep ${seconds}; echo nap ${n} done`] }));
  const last = { key: "all", op: "command", argv: ["true"], deps: tasks.map((task) => task.key) };
  return { name: "naps", labels: { team: "tests" }, tasks: [...tasks, last], outputs: ["all"] };
}

/** Runs until somebody stops it. */
export const endless = {
  name: "long simulation",
  tasks: Array.from({ length: 12 }, (_, n) => ({ key: `step-${n}`, op: "command", argv: ["sleep", "3000"] })),
};

export const failing = {
  name: "fit models",
  tasks: [
    { key: "good", op: "command", argv: ["echo", "fine"] },
    { key: "bad", op: "command", argv: ["sh", "-c", "echo about to fail; echo no convergence >&2; exit 3"] },
    { key: "after", op: "command", argv: ["true"], deps: ["bad"] },
  ],
  outputs: ["good", "after"],
};

/** One run of many takes a hundred times as long. */
export const skewed = {
  name: "resize images",
  tasks: [
    { key: "image-slow", op: "native", function: "bench:sleep_ms", args: [4_000] },
    ...Array.from({ length: 30 }, (_, n) => ({ key: `image-${n}`, op: "native", function: "bench:sleep_ms", args: [10] })),
  ],
};

export const BLOB = 4_000_000;
export const BLOBS = 6;

/** Objects made on two workers, all read by a third, as a skewed shuffle does. */
export function shuffle(workers) {
  const made = Array.from({ length: BLOBS }, (_, n) => ({ key: `part-${n}`, op: "native", function: "bench:blob", args: [BLOB], workers: [workers[1 + (n % 2)].id] }));
  const read = made.map((task, n) => ({ key: `count-${n}`, op: "command", argv: ["wc", "-c"], stdin: { task: task.key }, workers: [workers[0].id] }));
  return { name: "skewed shuffle", tasks: [...made, ...read], outputs: [...made, ...read].map((task) => task.key) };
}

const REGIONS = ["north", "south", "east", "west"];

/** Orders as a CSV file, and what each region's amounts add up to. */
export async function orders(folder) {
  const path = join(folder, "orders.csv");
  const sums = new Map(REGIONS.map((region) => [region, 0]));
  const lines = Array.from({ length: 20_000 }, (_, n) => {
    const [region, amount] = [REGIONS[n % 3 === 0 ? 0 : n % 4], (n * 7) % 101];
    sums.set(region, sums.get(region) + amount);
    return `${n},${region},${amount}`;
  });
  await writeFile(path, `id,region,amount\n${lines.join("\n")}\n`);
  const query = "SELECT region, sum(amount) AS total FROM orders GROUP BY region ORDER BY region";
  return { query, tables: { orders: path }, rows: [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([region, total]) => ({ region, total })) };
}

const SCRIPT = `
import millstream as ms

def digits_of_square(number):
    print("squared", number)
    return len(str(number * number))

with ms.Client() as client:
    print(sum(client.gather(client.map(digits_of_square, range(20)))))
`;

/** Python tasks by the Python package of this repository; the script's answer. */
export async function python(interpreter, base, token) {
  const env = { ...process.env, PYTHONPATH: new URL("../../python", import.meta.url).pathname, PYTHONDONTWRITEBYTECODE: "1", MILLSTREAM_GATEWAY: base.replace(/\/$/, ""), MILLSTREAM_TOKEN: token };
  const { stdout } = await promisify(execFile)(interpreter, ["-c", SCRIPT], { env, timeout: 120_000 });
  return Number(stdout.trim());
}

export const EVIL = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>";
const RTL = "\u202eمرحبا بالعالم";
const EMOJI = "👩‍💻🏳️‍🌈 e\u0301 family 👨‍👩‍👧‍👦";

/** Names that would harm a page that took them for more than texts. */
export const hostile = {
  name: `${EVIL} ${EMOJI}`,
  labels: { [EVIL]: EVIL, direction: RTL, emoji: EMOJI, long: "L".repeat(10_000), "javascript:alert(1)": "javascript:window.pwned=1" },
  tasks: [
    { key: EVIL, op: "command", argv: ["printf", "%s\\n", EVIL] },
    { key: RTL, op: "command", argv: ["printf", "%s\\n", RTL] },
    { key: EMOJI, op: "command", argv: ["true"] },
    { key: "a/b?c#d%2e%2e&e=f g", op: "command", argv: ["true"] },
    { key: "=cmd|'/c calc'!A1", op: "command", argv: ["true"] },
    { key: "K".repeat(10_000), op: "command", argv: ["true"] },
    { key: `fails ${EVIL}`, op: "command", argv: ["sh", "-c", `printf '%s\\n' "$0" >&2; exit 1`, EVIL] },
  ],
};
