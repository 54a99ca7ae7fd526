// Asks before something is done that cannot be taken back, and says how it went.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ApiError } from "../lib/api";

interface Question {
  title: string;
  text: string;
  action: string;
  run: () => Promise<string>;
}

const question = signal<Question | undefined>(undefined);
const said = signal<{ text: string; failed: boolean } | undefined>(undefined);
let timer: number | undefined;

export function ask(asked: Question): void {
  question.value = asked;
}

export function say(text: string, failed = false): void {
  said.value = { text, failed };
  window.clearTimeout(timer);
  timer = window.setTimeout(() => {
    said.value = undefined;
  }, 6_000);
}

export async function attempt(run: () => Promise<string>): Promise<void> {
  try {
    say(await run());
  } catch (error) {
    say(error instanceof ApiError ? error.message : "the gateway cannot be reached", true);
  }
}

export function Confirm(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const asked = question.value;
  useEffect(() => {
    if (asked) dialog.current?.showModal();
    else dialog.current?.close();
  }, [asked]);
  const close = (): void => {
    question.value = undefined;
  };
  return (
    <>
      <dialog ref={dialog} onClose={close} aria-label={asked?.title ?? "Question"}>
        {asked ? (
          <form
            method="dialog"
            onSubmit={() => {
              void attempt(asked.run);
            }}
          >
            <h2>{asked.title}</h2>
            <p>{asked.text}</p>
            <div class="dialog-buttons">
              <button type="button" onClick={close}>
                Not now
              </button>
              <button type="submit" class="danger">
                {asked.action}
              </button>
            </div>
          </form>
        ) : null}
      </dialog>
      <div class="toast-place" role="status">
        {said.value ? <div class={`toast${said.value.failed ? " toast-failed" : ""}`}>{said.value.text}</div> : null}
      </div>
    </>
  );
}
