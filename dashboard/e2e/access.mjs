// Who sees nothing: browsers without a token or a code, and pages of other origins in a browser that has signed in.

import { createServer } from "node:http";
import { axeBoth, check, same, until } from "./harness.mjs";
import { looker } from "./pages.mjs";

const PATHS = ["jobs", "workers", "system", "live", "live/history", "live/workers", "live/spans", "live/operations", "live/transfers", "live/lines", "stacks", "cells", "queues"];
const HASHES = ["overview", "jobs", "stream", "graph", "workers", "memory", "transfers", "profile", "logs", "system"];

export function locked({ base, visit, api }) {
  return {
    "without a token or a code nothing is shown": async () => {
      const context = await visit(false);
      const page = await context.newPage();
      const { id } = await api.finish({ name: "payroll", tasks: [{ key: "secret", op: "command", argv: ["echo", "hidden"] }] });
      for (const path of [...PATHS, `jobs/${id}`, `jobs/${id}/tasks`, `jobs/${id}/tasks/secret`, `jobs/${id}/results/secret`, `jobs/${id}/events`, `jobs/${id}/layers`, `jobs/${id}/graph`]) {
        same((await context.request.get(`${base}v1/${path}`)).status(), 401, `GET ${path} without a token`);
      }
      for (const path of ["openapi.json", "metrics"]) same((await context.request.get(`${base}${path}`)).status(), 401, `GET ${path} without a token`);
      for (const hash of [...HASHES, `jobs/${id}`, `task/${id}/secret`]) {
        await page.goto(`${base}#/${hash}`);
        await page.getByRole("button", { name: "Sign in" }).waitFor();
        const text = await page.locator("body").innerText();
        check(!/payroll|hidden|worker-\d/.test(text) && (await page.locator("nav, .table, canvas").count()) === 0, `${hash} shows nothing: ${text}`);
      }
      await axeBoth(page, "sign-in");
      await page.getByLabel("Token").fill("wrong");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("not this cluster's").waitFor();
      await axeBoth(page, "sign-in, refused");
      await page.goto(`${base}?code=made.up.code`);
      await page.getByText("was used before").waitFor();
      same((await context.request.get(`${base}v1/jobs`)).status(), 401, "after a made-up code");
      await context.close();
    },
    "the token signs in, and signing out shuts the door": async (token = api.token) => {
      const context = await visit(false);
      const page = await context.newPage();
      await page.goto(`${base}#/jobs`);
      await page.getByLabel("Token").fill(token);
      await page.getByRole("button", { name: "Sign in" }).click();
      await looker(page, base).heading("Jobs");
      await page.getByRole("link", { name: "payroll" }).waitFor();
      const cookie = (await context.cookies()).find((one) => one.name.startsWith("millstream_"));
      same([cookie.httpOnly, cookie.sameSite], [true, "Strict"], "the cookie");
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("button", { name: "Sign in" }).waitFor();
      same((await context.request.get(`${base}v1/jobs`)).status(), 401, "after signing out");
      await context.close();
    },
  };
}

/** Everything that a foreign page may try; runs in that page. */
async function attack(url) {
  const body = JSON.stringify({ name: "foreign", tasks: [{ key: "a", op: "command", argv: ["true"] }] });
  const ask = (path, init) => fetch(`${url}${path}`, { credentials: "include", ...init }).then((response) => response.text(), () => "refused");
  const load = (tag, attribute, path) =>
    new Promise((done) => {
      const element = document.createElement(tag);
      element[attribute] = `${url}${path}`;
      element.onload = () => done("loaded");
      element.onerror = () => done("refused");
      document.head.append(element);
    });
  const stream = new Promise((done) => {
    const source = new EventSource(`${url}v1/live`, { withCredentials: true });
    source.onmessage = source.onopen = () => (source.close(), done("opened"));
    source.onerror = () => (source.close(), done("refused"));
  });
  const blind = (init) => fetch(`${url}v1/jobs`, { method: "POST", credentials: "include", mode: "no-cors", body, ...init }).then((response) => (response.type === "opaque" ? "refused" : response.type), () => "refused");
  const form = new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.name = "target";
    document.body.append(frame);
    const element = document.createElement("form");
    Object.assign(element, { action: `${url}v1/jobs`, method: "post", enctype: "text/plain", target: "target" });
    const field = document.createElement("input");
    Object.assign(field, { name: `${body.slice(0, -1)},"labels":{"x":"`, value: '"}}' });
    element.append(field);
    document.body.append(element);
    frame.onload = () => done("refused");
    element.submit();
  });
  const framed = new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.src = url;
    frame.onload = () => {
      try {
        done(frame.contentDocument?.body ? `read: ${frame.contentDocument.body.innerText}` : "refused");
      } catch {
        done("refused");
      }
    };
    document.body.append(frame);
  });
  const json = { "content-type": "application/json" };
  return {
    "read jobs": await ask("v1/jobs"),
    "read the live feed": await ask("v1/live/lines"),
    "read the system": await ask("v1/system", { mode: "cors" }),
    "post": await ask("v1/jobs", { method: "POST", body, headers: json }),
    "post as text": await ask("v1/jobs", { method: "POST", body }),
    "post blindly": await blind({}),
    "make a code": await ask("v1/sign-in/codes", { method: "POST" }),
    "a script": await load("script", "src", "v1/jobs"),
    "the program": await load("script", "src", "assets/app.js"),
    "an event stream": await stream,
    "a form": await form,
    "a frame": await framed,
  };
}

export function foreign({ base, context, page, api, complaints }) {
  return {
    "foreign pages can neither read nor post": async () => {
      const server = createServer((_, response) => response.setHeader("content-type", "text/html").end("<!doctype html><title>other</title><body></body>"));
      await new Promise((done) => server.listen(0, "127.0.0.1", done));
      const before = (await api.get("jobs?limit=200")).jobs.length;
      try {
        // Another port is of the same site for a browser, another name is of another one.
        for (const host of ["127.0.0.1", "localhost"]) {
          const other = await context.newPage();
          await other.goto(`http://${host}:${server.address().port}/`);
          for (const [what, result] of Object.entries(await other.evaluate(attack, base))) same(result, "refused", `${what} from ${host}`);
          for (const frame of other.frames().slice(1)) check(!(await frame.content()).includes('id="app"'), `the dashboard is in no foreign frame (${host})`);
          await other.close();
        }
      } finally {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
        // What was refused is in the foreign pages' consoles.
        complaints.splice(0, complaints.length, ...complaints.filter((complaint) => complaint.startsWith(base)));
      }
      const { jobs } = await api.get("jobs?limit=200");
      same([jobs.length, jobs.some((job) => job.name === "foreign")], [before, false], "jobs afterwards");
      await until("the dashboard itself goes on", async () => {
        await page.goto(`${base}#/system`);
        return (await page.locator(".service").count()) > 0;
      });
    },
  };
}
