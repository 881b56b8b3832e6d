// Light or dark: as the system says, unless somebody chose.

export type Theme = 'system' | 'light' | 'dark';

class Look {
  theme = $state<Theme>((localStorage.getItem('theme') as Theme | null) ?? 'system');
  /** Counts changes, so that what is drawn on a canvas is drawn anew. */
  changes = $state(0);

  constructor() {
    this.apply();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.changes++);
  }

  choose(theme: Theme) {
    this.theme = theme;
    localStorage.setItem('theme', theme);
    this.apply();
  }

  private apply() {
    if (this.theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.theme;
    this.changes++;
  }
}

export const look = new Look();

/** A colour of the style sheet. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
