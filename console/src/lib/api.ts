// What the admin API is asked, and how its refusals are told.

/** A refusal of the admin API (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    readonly detail: string,
    readonly data: Record<string, unknown> = {},
  ) {
    super(detail);
  }
}

const KEY = 'tidegate-key';

/** The key of the session, which goes with its cookie; kept for this origin alone, which includes the port. */
export const key = {
  get: () => localStorage.getItem(KEY) ?? '',
  set: (value: string) => (value ? localStorage.setItem(KEY, value) : localStorage.removeItem(KEY)),
};

let onLost: () => void = () => {};

/** What to do when the session has ended. */
export function whenSessionEnds(act: () => void) {
  onLost = act;
}

async function ask<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      headers: { 'X-Tidegate-Key': key.get(), ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, 'unreachable', 'the gateway does not answer');
  }
  const text = await answer.text();
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    data = { detail: text };
  }
  if (answer.ok) return data as T;
  const problem = data as Record<string, unknown>;
  if (answer.status === 401 && path !== '/api/v1/session') onLost();
  const reason = String(problem.type ?? '').replace('urn:tidegate:problem:', '');
  throw new Problem(answer.status, reason, String(problem.detail ?? answer.statusText), problem);
}

export const get = <T>(path: string) => ask<T>('GET', path);
export const post = <T>(path: string, body?: unknown) => ask<T>('POST', path, body);
export const put = <T>(path: string, body: unknown, etag: string) =>
  ask<T>('PUT', path, body, { 'If-Match': `"${etag}"` });
export const remove = <T>(path: string) => ask<T>('DELETE', path);

/** A path with a query of what is not empty. */
export function query(path: string, values: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

export interface Counts {
  name: string;
  calls: number;
  rate: number;
  average_ms: number | null;
  p50_ms: number | null;
  p90_ms: number | null;
  p99_ms: number | null;
  errors: number;
  error_rate: number;
  statuses: Record<string, number>;
  faults: number;
  refused: number;
  in_flight?: number;
  service?: string;
  addresses?: string[];
}

export interface Listener {
  name: string;
  address: string;
  connections: number;
  accepted: number;
  refused: number;
}

export interface Topology {
  window_seconds: number;
  covered_seconds: number;
  until: number;
  revision: number;
  gateway: Counts;
  listeners: Listener[];
  routes: Counts[];
  services: Counts[];
  targets: Counts[];
  /** Routes that are not told. */
  more_routes?: number;
}

export interface Series {
  step_seconds: number;
  at: number[];
  calls: number[];
  rate: number[];
  errors: number[];
  refused: number[];
  average_ms: (number | null)[];
  p50_ms: (number | null)[];
  p90_ms: (number | null)[];
  p99_ms: (number | null)[];
}

export interface Heatmap {
  step_seconds: number;
  at: number[];
  upper_bounds_ms: number[];
  cells: [number, number, number][];
}

export interface Sample {
  number: number;
  time: string;
  method: string;
  host?: string;
  path: string;
  query?: string;
  status: number;
  route: string;
  service?: string;
  endpoint?: string;
  duration_ms: number;
  upstream_ms?: number;
  sent_at_ms?: number;
  answered_at_ms?: number;
  sampled: string;
  [field: string]: unknown;
}

export interface Change {
  kind: string;
  name: string;
  change: string;
  settings: string[];
  text: string;
  breaking: boolean;
}

export interface Standing {
  name: string;
  text: string;
  /** What the text says, as written. */
  written: Record<string, unknown> | null;
  etag: string;
  revision: number;
  readonly: boolean;
  writable: boolean;
  refused: string | null;
  pending: { number: number; until: string } | null;
}

export interface Difference {
  etag: string;
  text: string;
  diff: string;
  summary: string;
  changes: Change[];
}

export interface Fault {
  severity?: string;
  level?: string;
  code: string;
  message: string;
  help?: string | null;
  place?: { line: number; column: number; length?: number } | null;
  line?: number;
  column?: number;
  /** The keys that lead to the setting it is about. */
  path?: string[] | null;
}

export interface Step {
  policy: string;
  verdict: string;
  reason: string | null;
  changes: { what: string; before: string | null; after: string | null }[];
}

export interface Explanation {
  verdict: string;
  route: { key: string; why: string } | null;
  others: { route: string; why: string }[];
  policies: Step[];
  upstream: { service: string; changes: { what: string; before: string | null; after: string | null }[] } | null;
}

export interface Preview {
  asked: number;
  same: number;
  summary: string;
  different: { count: number; before: string; after: string; examples: { number: number; method: string; url: string }[] }[];
}

export type Edit =
  | { op: 'set'; path: string[]; value: unknown }
  | { op: 'remove'; path: string[] }
  | { op: 'move'; path: string[]; before?: string }
  | { op: 'rename'; path: string[]; to: string };

export interface RouteEntry {
  name: string;
  service: string;
  action: string;
  policies: { name: string; shadow: boolean }[];
  written: Record<string, unknown>;
}

/** What a policy made of requests in a window: how many, and how long these took in all. */
export interface Outcome {
  policy: string;
  /** `refused`, `would_refuse`, or what a cache had to do with the answer. */
  outcome: string;
  calls: number;
  rate: number;
  p50_ms: number | null;
  p99_ms: number | null;
}

/** What policies refused and kept since the start, and what they made of requests in the window. */
export interface Done {
  kinds: { name: string; refuses: boolean }[];
  outcomes: Outcome[];
  routes: Record<string, { refused: { policy: string; reason: string; mode: string; count: number }[]; cache: Record<string, number>; outcomes: Outcome[] }>;
}
