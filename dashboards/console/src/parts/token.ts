/** The bearer token: taken once from `#token=…`, then gone from the address bar; kept for this tab only. */
const STORAGE_KEY = 'tripline.token';

/** Token of this tab, or ''. */
export function takeToken(): string {
  const given = new URLSearchParams(window.location.hash.replace(/^#/, '')).get('token');
  if (given !== null && given !== '') {
    keepToken(given);
    window.history.replaceState(null, '', `${window.location.pathname}${window.location.search}#/live`);
    return given;
  }
  return sessionStorage.getItem(STORAGE_KEY) ?? '';
}

export function keepToken(token: string): void {
  sessionStorage.setItem(STORAGE_KEY, token);
}

export function forgetToken(): void {
  sessionStorage.removeItem(STORAGE_KEY);
}
