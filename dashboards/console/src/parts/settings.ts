/** Choices of the person at this browser. Storage may be full or forbidden: then they last as long as the page. */
import { useEffect, useState } from 'react';

export type Theme = 'system' | 'light' | 'dark';
const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

function read(key: string): string {
  try {
    return localStorage.getItem(key) ?? '';
  } catch {
    return '';
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // The choice lasts as long as the page.
  }
}

/** Colour theme, and a function that goes on to the next one. */
export function useTheme(): readonly [Theme, () => void] {
  const [theme, setTheme] = useState<Theme>(
    () => THEMES.find((name) => name === read('tripline.theme')) ?? 'system',
  );
  useEffect(() => {
    document.documentElement.dataset['theme'] = theme;
    write('tripline.theme', theme);
  }, [theme]);
  return [theme, () => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system')];
}

/** Whether single keys are shortcuts; people who dictate turn them off (WCAG 2.1.4). */
export function useShortcutSetting(): readonly [boolean, (enabled: boolean) => void] {
  const [isEnabled, setEnabled] = useState(() => read('tripline.shortcuts') !== 'off');
  useEffect(() => write('tripline.shortcuts', isEnabled ? 'on' : 'off'), [isEnabled]);
  return [isEnabled, setEnabled];
}
