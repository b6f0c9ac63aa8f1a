import { useState, type ReactNode } from 'react';

/** Asks for the bearer token where the address brought none. */
export function SignIn({ onToken }: { readonly onToken: (token: string) => void }): ReactNode {
  const [value, setValue] = useState('');
  const [isMissing, setMissing] = useState(false);
  return (
    <main className="sign-in" id="main">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const token = value.trim();
          if (/^[\x21-\x7e]+$/.test(token)) onToken(token);
          else setMissing(true);
        }}
      >
        <h1>
          <img src="/tripline.svg" alt="" width="36" height="36" /> Tripline
        </h1>
        <p>Flight recorder and tripwire for MCP agents.</p>
        <label htmlFor="token">Access token</label>
        <input
          id="token"
          type="password"
          autoComplete="off"
          spellCheck={false}
          value={value}
          aria-invalid={isMissing}
          aria-describedby="token-hint"
          onChange={(event) => setValue(event.target.value)}
        />
        <p
          id="token-hint"
          className={isMissing ? 'hint wrong' : 'hint'}
          role={isMissing ? 'alert' : undefined}
        >
          {isMissing ? 'Enter a token: printable characters without blanks. ' : ''}
          On the machine that runs it, the token is in the file <code>admin.token</code> of the data directory
          (<code>~/.tripline</code>). It stays in this tab and is gone when the tab closes.
        </p>
        <button type="submit" className="primary">
          Sign in
        </button>
      </form>
    </main>
  );
}
