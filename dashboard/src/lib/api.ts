// The gateway's answers, and how they are asked for. Paths are relative, so that the page works behind any prefix.

import { signal } from "@preact/signals";

export type JobState = "accepted" | "running" | "succeeded" | "recovering" | "failed" | "cancelling" | "cancelled";

export interface JobCounts {
  total: number;
  waiting: number;
  ready: number;
  assigned: number;
  stored: number;
  released: number;
  failed: number;
  cancelled: number;
}

export interface TaskError {
  kind: string;
  message: string;
  host?: string | null;
  log_tail?: string | null;
  traceback?: string | null;
}

export interface Job {
  id: string;
  name: string;
  state: JobState;
  accepted_ms?: number;
  ended_ms?: number;
  tasks: JobCounts;
  error?: TaskError;
  failed_task?: string;
  priority: number;
  labels?: Record<string, string>;
}

export interface JobsPage {
  jobs: Job[];
  next?: string;
}

export interface Task {
  task: number;
  key: string;
  op: string;
  state: string;
  attempts: number;
  failures: number;
  workers?: string[];
  bytes?: number;
  deps?: string[];
  error?: TaskError;
  explain?: string[];
  story?: { at_us: number; text: string }[];
  logs?: { attempt: string; head: string; tail: string; omitted: number }[];
}

export interface TasksPage {
  tasks: Task[];
  next?: number;
}

export interface Layer {
  layer: number;
  op: string;
  first: number;
  tasks: JobCounts;
  held: number;
  wanted: number;
  cost_us?: number;
}

export interface HeldObject {
  task: number;
  key: string;
  op: string;
  bytes: number;
  is_wanted: boolean;
  readers: number;
  workers: string[];
}

export interface Layers {
  exact: boolean;
  layers: Layer[];
  edges: { from: number; to: number; inputs: number }[];
  largest: HeldObject[];
}

export interface GraphPage {
  total: number;
  tasks: { task: number; key: string; op: string; deps: number[]; more_deps: number }[];
  next?: number;
}

export interface OperationRow {
  job: string;
  kind: string;
  name: string;
  finished: number;
  failed: number;
  busy_us: number;
  bytes: number;
  longest_us: number;
  longest_task: number;
  spread: number[];
}

export interface Transfer {
  from: string;
  to: string;
  objects: number;
  bytes: number;
  busy_us: number;
  bytes_per_s: number;
}

export type Level = "output" | "info" | "warn" | "error";

export interface Line {
  seq: number;
  at_ms: number;
  level: Level;
  job?: string;
  task?: string;
  index?: number;
  worker?: string;
  text: string;
}

export interface Blocks {
  worker: number[];
  slot: number[];
  kind: number[];
  op: number[];
  start_us: number[];
  duration_us: number[];
  count: number[];
  task: number[];
  job: string[];
  bytes: number[];
  coarse: boolean;
}

export interface SpanWindow {
  from_us: number;
  to_us: number;
  oldest_us: number | null;
  skipped: number;
  workers: string[];
  ops: { op: number; kind: string; name: string }[];
  blocks: Blocks;
}

export interface System {
  gateway: { id: string; version: string; since_ms: number; event_streams: number };
  broker: boolean;
  term: number | null;
  leader: string | null;
  state_us: number | null;
  state_error: string | null;
  lease: { term: number; leader: string } | null;
  live: { workers: number; spans: number; spans_skipped: number; oldest_span_ms: number | null; dropped: number };
}

/** What went wrong, as the gateway says it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly hint: string | undefined,
  ) {
    super(detail);
  }
}

/** Whether the gateway knows this browser. Unknown until the first answer. */
export const signedIn = signal<boolean | undefined>(undefined);

export type Query = Record<string, string | number | undefined>;

export function pathOf(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return `v1/${path}${text ? `?${text}` : ""}`;
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  const response = await fetch(path, { ...init, headers: { accept: "application/json", ...init.headers } });
  if (response.ok) {
    signedIn.value = true;
    return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
  }
  const problem = (await response.json().catch(() => ({}))) as { code?: string; detail?: string; hint?: string };
  if (response.status === 401) signedIn.value = false;
  throw new ApiError(
    response.status,
    problem.code ?? "unreadable",
    problem.detail ?? `the gateway answered ${response.status}`,
    problem.hint,
  );
}

export function get<T>(path: string, query: Query = {}, abort?: AbortSignal): Promise<T> {
  return ask<T>(pathOf(path, query), abort ? { signal: abort } : {});
}

export function send<T>(method: "POST" | "DELETE", path: string, query: Query = {}, body?: unknown): Promise<T> {
  const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  return ask<T>(pathOf(path, query), { method, ...json });
}

export async function signIn(token: string): Promise<void> {
  await send("POST", "sign-in", {}, { token });
  signedIn.value = true;
}

export async function signOut(): Promise<void> {
  await send("DELETE", "sign-in");
  signedIn.value = false;
}

export const jobPath = (job: string): string => `jobs/${encodeURIComponent(job)}`;
/** Slashes and pluses of the key stay: the gateway takes the rest of the path for the key, and leaves `%2F` and `%2B` as they are. */
export const taskPath = (job: string, key: string): string => `${jobPath(job)}/tasks/${encodeURIComponent(key).replaceAll("%2F", "/").replaceAll("%2B", "+")}`;
