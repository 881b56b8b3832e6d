// Where the console is: a page and its settings, all of it in the address, so that a colleague sees the same.

export class Place {
  page = $state('now');
  values = $state<Record<string, string>>({});

  constructor() {
    this.read();
    addEventListener('hashchange', () => this.read());
  }

  private read() {
    const [path = '', search = ''] = location.hash.replace(/^#\/?/, '').split('?');
    this.page = path || 'now';
    this.values = Object.fromEntries(new URLSearchParams(search));
  }

  get(name: string, otherwise = ''): string {
    return this.values[name] ?? otherwise;
  }

  /** The address of a page with settings. */
  to(page: string, values: Record<string, string | undefined> = {}): string {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) if (value) search.set(name, value);
    const text = search.toString();
    return `#/${page}${text ? `?${text}` : ''}`;
  }

  /** Changes a setting of the page. */
  set(name: string, value: string) {
    location.hash = this.to(this.page, { ...this.values, [name]: value });
  }

  go(page: string, values: Record<string, string | undefined> = {}) {
    location.hash = this.to(page, values);
  }
}

export const place = new Place();
