// When the configuration was changed: a mark on every chart, with who and why below it.

import { get } from './api';
import { session } from './session.svelte';

export interface Entry {
  number: number;
  time: string;
  author: string;
  message: string;
  summary: string;
  etag: string;
  diff?: string | null;
  diff_to_now?: string;
}

class Marks {
  changes = $state.raw<Entry[]>([]);
  private asked = 0;

  get at(): number[] {
    return this.changes.map((change) => Date.parse(change.time) / 1000);
  }

  /** Asks again, at most each few seconds unless it must be. */
  async load(anew = false) {
    if (!session.may('operator') || (!anew && Date.now() - this.asked < 5000)) return;
    this.asked = Date.now();
    const told = await get<{ changes: Entry[] }>('/api/v1/config/history').catch(() => null);
    if (told && JSON.stringify(told.changes) !== JSON.stringify(this.changes)) this.changes = told.changes;
  }

  /** Those of a stretch of time, in seconds since 1970. */
  within(from: number, to: number): Entry[] {
    return this.changes.filter((change) => {
      const at = Date.parse(change.time) / 1000;
      return at >= from && at <= to;
    });
  }
}

export const marks = new Marks();
