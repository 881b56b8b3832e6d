// Who has logged in, and the change that waits for its confirmation.

import { Problem, get, key, post, remove, whenSessionEnds, type Standing } from './api';

/** What was counted of one of two configurations. */
export interface Arm {
  calls: number;
  errors: number;
  error_rate: number;
  refused: number;
  average_ms: number | null;
  p90_ms: number | null;
}
export interface Trial {
  share: string;
  until: string;
  message: string;
  summary: string;
  running: Arm;
  canary: Arm;
}
export interface Ended {
  result: string;
  why: string;
  time: string;
}

export class Session {
  /** The change that serves a share of the requests. */
  trial = $state.raw<Trial | null>(null);
  /** What came of the one that was seen running. */
  ended = $state.raw<Ended | null>(null);
  name = $state('');
  role = $state('');
  known = $state<'asking' | 'no' | 'yes'>('asking');
  pending = $state<{ number: number; until: string } | null>(null);

  constructor() {
    whenSessionEnds(() => (this.known = 'no'));
  }

  /** Takes up the session of before, or logs in by the token that the address brings. */
  async begin() {
    const brought = new URLSearchParams(location.hash.replace(/^#\/?/, '')).get('token');
    if (brought) {
      // It is a secret: neither the history nor a screenshot shall keep it.
      history.replaceState(null, '', location.pathname);
      if (await this.login(brought)) return;
    }
    try {
      this.is(await get('/api/v1/session'));
    } catch {
      this.known = 'no';
    }
  }

  async login(token: string): Promise<string> {
    try {
      const who = await post<{ name: string; role: string; key: string }>('/api/v1/session', { token });
      key.set(who.key);
      this.is(who);
      return 'yes';
    } catch (problem) {
      this.known = 'no';
      if (problem instanceof Problem && problem.status !== 401) throw problem;
      return '';
    }
  }

  async logout() {
    await remove('/api/v1/session').catch(() => {});
    key.set('');
    this.known = 'no';
  }

  /** Whether a change waits for its confirmation. */
  async look() {
    if (!this.may('operator')) return;
    const standing = await get<Standing>('/api/v1/config').catch(() => null);
    if (standing) this.pending = standing.pending;
    await this.lookAtTrial();
  }

  /** Whether a change is on trial, and how it does. */
  async lookAtTrial() {
    const told = await get<{ on_trial: Trial | null; last: Ended | null }>('/api/v1/config/canary').catch(() => null);
    if (!told) return;
    if (this.trial && !told.on_trial) this.ended = told.last;
    if (told.on_trial) this.ended = null;
    this.trial = told.on_trial;
  }

  may(role: 'viewer' | 'operator' | 'admin'): boolean {
    const roles = ['viewer', 'operator', 'admin'];
    return roles.indexOf(this.role) >= roles.indexOf(role);
  }

  private is(who: { name: string; role: string }) {
    this.name = who.name;
    this.role = who.role;
    this.known = 'yes';
    void this.look();
  }
}

export const session = new Session();
