// Asks again and again while a page is looked at, one question at a time.

import { useEffect, useState } from "preact/hooks";
import { ApiError } from "./api";

export interface Polled<T> {
  data: T | undefined;
  error: ApiError | undefined;
  /** Asks now. */
  again: () => void;
}

/** Asks `question` each `every` milliseconds; 0 asks once. Changes of `deps` ask anew and forget the old answer. */
export function usePoll<T>(question: (abort: AbortSignal) => Promise<T>, every: number, deps: readonly unknown[]): Polled<T> {
  const [answer, setAnswer] = useState<{ key: string; data?: T; error?: ApiError }>({ key: "" });
  const [round, setRound] = useState(0);
  const key = JSON.stringify(deps);

  useEffect(() => {
    const abort = new AbortController();
    let timer: number | undefined;
    const ask = async (): Promise<void> => {
      try {
        const data = await question(abort.signal);
        if (!abort.signal.aborted) setAnswer({ key, data });
      } catch (caught) {
        if (abort.signal.aborted) return;
        const error = caught instanceof ApiError ? caught : new ApiError(0, "unreachable", "the gateway cannot be reached", undefined);
        setAnswer((before) => (before.key === key && before.data !== undefined ? { ...before, error } : { key, error }));
      }
      if (every > 0 && !abort.signal.aborted) timer = window.setTimeout(askIfSeen, every);
    };
    const askIfSeen = (): void => {
      if (document.visibilityState === "visible") void ask();
      else timer = window.setTimeout(askIfSeen, every);
    };
    void ask();
    return () => {
      abort.abort();
      window.clearTimeout(timer);
    };
  }, [key, every, round]);

  const isOurs = answer.key === key;
  return {
    data: isOurs ? answer.data : undefined,
    error: isOurs ? answer.error : undefined,
    again: () => setRound((value) => value + 1),
  };
}
