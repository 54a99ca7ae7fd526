import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError, signIn } from "../lib/api";
import { go, page } from "../lib/route";

export function SignInPage(): JSX.Element {
  const [token, setToken] = useState("");
  const [wrong, setWrong] = useState<string | undefined>(
    page.value === "sign-in" ? "That link was used before or has run out." : undefined,
  );
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      await signIn(token);
      if (page.value === "sign-in") go(["overview"]);
    } catch (error) {
      setWrong(error instanceof ApiError ? error.message : "The gateway cannot be reached.");
    }
  };
  return (
    <main class="sign-in">
      <form onSubmit={(event) => void submit(event)}>
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path d="M3 11c4.3-5 8.7-5 13 0s8.7 5 13 0M3 21c4.3-5 8.7-5 13 0s8.7 5 13 0" />
        </svg>
        <h1>Millstream</h1>
        <p class="muted">Open the link that the cluster printed, or sign in with its token.</p>
        <label class="field">
          <span>Token</span>
          <input type="password" autocomplete="current-password" value={token} onInput={(event) => setToken(event.currentTarget.value)} required />
        </label>
        {wrong ? (
          <p class="note note-error" role="alert">
            {wrong}
          </p>
        ) : null}
        <button type="submit" class="primary">
          Sign in
        </button>
        <p class="muted small">
          <code>millstream token</code> prints the token on the machine that runs the cluster.
        </p>
      </form>
    </main>
  );
}
