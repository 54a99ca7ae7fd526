// Where we are: the part of the address behind `#`, so that a link works behind any prefix and on any gateway.

import { computed, signal } from "@preact/signals";

export interface Route {
  path: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter((part) => part !== "");
  return { path: parts.map(decode), query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function href(path: readonly string[], query: Record<string, string | undefined> = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) params.set(name, value);
  const text = params.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

const hash = signal(window.location.hash);
window.addEventListener("hashchange", () => {
  hash.value = window.location.hash;
});

export const route = computed(() => parse(hash.value));
export const page = computed(() => route.value.path[0] ?? "overview");

export function go(path: readonly string[], query: Record<string, string | undefined> = {}): void {
  window.location.hash = href(path, query);
}

/** Changes parameters of the address in place, so that what is seen can be shared; `undefined` takes one away. */
export function setQuery(changes: Record<string, string | undefined>): void {
  const { path, query } = route.value;
  const merged: Record<string, string | undefined> = { ...Object.fromEntries(query), ...changes };
  window.history.replaceState(null, "", href(path, merged));
  hash.value = window.location.hash;
}

export const jobLink = (job: string, tab?: string): string => href(["jobs", job], { tab });
export const taskLink = (job: string, key: string): string => href(["task", job, key]);
export const workerLink = (worker: string): string => href(["workers"], { worker });
