// The frame around all pages: where one can go, how the cluster is, and who may look.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { get, signedIn, signOut, type System } from "./lib/api";
import { alerts, connect, disconnect, link, now } from "./lib/live";
import { go, href, page } from "./lib/route";
import { exact } from "./lib/format";
import { isDark, nextTheme } from "./lib/theme";
import { Confirm } from "./parts/confirm";
import { Empty, PageHead } from "./parts/small";
import { GraphPage } from "./pages/Graph";
import { JobPage } from "./pages/Job";
import { JobsPage } from "./pages/Jobs";
import { LogsPage } from "./pages/Logs";
import { MemoryPage } from "./pages/Memory";
import { OverviewPage } from "./pages/Overview";
import { ProfilePage } from "./pages/Profile";
import { SignInPage } from "./pages/SignIn";
import { StreamPage } from "./pages/Stream";
import { SystemPage } from "./pages/System";
import { TaskPage } from "./pages/Task";
import { TransfersPage } from "./pages/Transfers";
import { WorkersPage } from "./pages/Workers";
import { route } from "./lib/route";

interface Place {
  key: string;
  label: string;
  /** Pressed after `g`. */
  letter: string;
  page: () => JSX.Element;
}

const PLACES: readonly Place[] = [
  { key: "overview", label: "Overview", letter: "o", page: OverviewPage },
  { key: "jobs", label: "Jobs", letter: "j", page: () => (route.value.path[1] ? <JobPage key={route.value.path[1]} /> : <JobsPage />) },
  { key: "stream", label: "Task stream", letter: "s", page: StreamPage },
  { key: "graph", label: "Graph", letter: "g", page: GraphPage },
  { key: "workers", label: "Workers", letter: "w", page: WorkersPage },
  { key: "memory", label: "Memory", letter: "m", page: MemoryPage },
  { key: "transfers", label: "Transfers", letter: "t", page: TransfersPage },
  { key: "profile", label: "Profile", letter: "p", page: ProfilePage },
  { key: "logs", label: "Logs", letter: "l", page: LogsPage },
  { key: "system", label: "System", letter: "y", page: SystemPage },
];

const showsKeys = signal(false);

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** `g` and a letter goes to a page, `/` to the page's search, `?` shows the keys. */
function useKeys(): void {
  const waiting = useRef(0);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
      const place = PLACES.find((one) => one.letter === event.key);
      if (performance.now() - waiting.current < 1_500 && place) {
        waiting.current = 0;
        go([place.key]);
      } else if (event.key === "g") {
        waiting.current = performance.now();
      } else if (event.key === "/") {
        const search = document.querySelector<HTMLInputElement>("[data-search]");
        if (search) {
          event.preventDefault();
          search.focus();
        }
      } else if (event.key === "?") {
        showsKeys.value = true;
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
}

function Keys(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = showsKeys.value;
  useEffect(() => {
    if (open) dialog.current?.showModal();
  }, [open]);
  return (
    <dialog ref={dialog} aria-label="Keys" onClose={() => (showsKeys.value = false)}>
      <h2>Keys</h2>
      <dl class="keys">
        {PLACES.map((place) => (
          <div key={place.key}>
            <dt>
              <kbd>g</kbd> <kbd>{place.letter}</kbd>
            </dt>
            <dd>{place.label}</dd>
          </div>
        ))}
        <div>
          <dt>
            <kbd>/</kbd>
          </dt>
          <dd>Search on this page</dd>
        </div>
        <div>
          <dt>
            <kbd>+</kbd> <kbd>−</kbd> <kbd>←</kbd> <kbd>→</kbd>
          </dt>
          <dd>Zoom and move the task stream</dd>
        </div>
      </dl>
      <form method="dialog" class="dialog-buttons">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}

function Nav(): JSX.Element {
  const at = page.value === "task" ? "jobs" : page.value;
  const worst = alerts.value[0]?.severity;
  return (
    <nav class="side" aria-label="Pages">
      <a class="brand" href={href(["overview"])}>
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path d="M3 11c4.3-5 8.7-5 13 0s8.7 5 13 0M3 21c4.3-5 8.7-5 13 0s8.7 5 13 0" />
        </svg>
        Millstream
      </a>
      <ul>
        {PLACES.map((place) => (
          <li key={place.key}>
            <a href={href([place.key])} aria-current={at === place.key ? "page" : undefined}>
              {place.label}
              {place.key === "overview" && worst ? <span class={`dot dot-${worst}`} role="img" aria-label={`${alerts.value.length} alerts`} /> : null}
              {place.key === "jobs" && now("jobs") > 0 ? <span class="count">{exact(now("jobs"))}</span> : null}
              {place.key === "workers" ? <span class="count">{exact(now("workers"))}</span> : null}
            </a>
          </li>
        ))}
      </ul>
      <div class="side-end">
        <LinkState />
        <div class="side-buttons">
          <button type="button" class="quiet" onClick={nextTheme}>
            {isDark.value ? "Light" : "Dark"}
          </button>
          <button type="button" class="quiet" onClick={() => (showsKeys.value = true)}>
            Keys
          </button>
          <button
            type="button"
            class="quiet"
            onClick={() => {
              void signOut().finally(disconnect);
            }}
          >
            Sign out
          </button>
        </div>
      </div>
    </nav>
  );
}

function LinkState(): JSX.Element {
  const words = { live: "Live", connecting: "Connecting…", lost: "Connection lost, trying again" }[link.value];
  return (
    <p class={`link-state link-${link.value}`} role="status">
      <span class="dot" aria-hidden="true" /> {words}
    </p>
  );
}

function NoPage(): JSX.Element {
  return (
    <>
      <PageHead title="No such page" />
      <Empty title="Nothing is at this address">
        Go to the <a href={href(["overview"])}>overview</a>, or press <kbd>?</kbd> for all pages.
      </Empty>
    </>
  );
}

/** What the address names; after the sign-in by a link it names nothing of interest. */
function pageAt(key: string): () => JSX.Element {
  if (key === "task") return TaskPage;
  if (key === "sign-in") return OverviewPage;
  return PLACES.find((place) => place.key === key)?.page ?? NoPage;
}

export function App(): JSX.Element {
  useKeys();
  useEffect(() => {
    get<System>("system").then(connect, () => undefined);
  }, [signedIn.value]);
  const place = PLACES.find((one) => one.key === page.value);
  useEffect(() => {
    document.title = `${page.value === "task" ? "Task" : (place?.label ?? "Overview")} · Millstream`;
  }, [page.value]);

  if (signedIn.value === undefined) return <p class="loading starting">Connecting to the gateway…</p>;
  if (!signedIn.value) return <SignInPage />;
  const Page = pageAt(page.value);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>
        Skip to the page
      </a>
      <Nav />
      <main id="main" tabIndex={-1}>
        <Page key={page.value} />
      </main>
      <Confirm />
      <Keys />
    </div>
  );
}
