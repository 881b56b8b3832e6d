// The board's knowledge of policies: in which phase each works, what a fresh one says, and sets of them for a purpose.

import { begin, calls } from './aggregate';
import type { Edit } from './api';
import type { Written } from './draft.svelte';
import { isMap, type Language, type Schema } from './schema';

/** The block that is no policy: a route that has it asks several services at once. */
export const AGGREGATE = 'aggregate';

/** The phases of a request, in their order, each with the policies that the console knows in it. */
export const LANES: { name: string; policies: string[] }[] = [
  { name: 'Guard', policies: ['cors', 'ip', 'lists'] },
  { name: 'Identify', policies: ['mtls', 'api_key', 'basic', 'jwt', 'hmac', 'introspection', 'oidc', 'any_of', 'guard'] },
  { name: 'Authorise', policies: ['csrf', 'allow', 'identity_keys', 'version'] },
  { name: 'Admit', policies: ['rate_limit', 'quota', 'ext_auth', 'concurrency', 'body_limit'] },
  { name: 'Care', policies: ['timeout', 'retry', 'hedge', 'mirror', 'validate', 'openapi', 'grpc_web'] },
  { name: 'Cache', policies: ['cache', 'compress'] },
  { name: 'Shape', policies: ['rewrite', 'headers', 'request', 'response', 'filter'] },
  { name: 'Compose', policies: [AGGREGATE] },
  { name: 'Stand in', policies: ['fallback', 'transcode'] },
];

/** What a route does, of which there is one. */
const ACTIONS = ['to', 'split', 'respond', 'redirect', 'mock'];

/** The lane of each policy; one that the console does not know works where the one before it works. */
export function lanes(order: string[]): Map<string, number> {
  const found = new Map<string, number>();
  let last = 0;
  for (const name of order) {
    const lane = LANES.findIndex((one) => one.policies.includes(name));
    if (lane >= 0) last = lane;
    found.set(name, last);
  }
  return found;
}

/** All blocks in the order of running: the policies, and before what stands in, the action that is one. */
export function kinds(policies: string[]): string[] {
  const at = policies.findIndex((name) => LANES.at(-1)?.policies.includes(name));
  return at < 0 ? [...policies, AGGREGATE] : [...policies.slice(0, at), AGGREGATE, ...policies.slice(at)];
}

/** The edits that let a route ask several services instead of what it did. */
export function aggregated(written: Written, route: string): Edit[] {
  const own = isMap(written.routes) ? written.routes[route] : undefined;
  const services = Object.keys(isMap(written.services) ? written.services : {});
  const gone = ACTIONS.filter((action) => isMap(own) && action in own);
  return [{ op: 'set', path: ['routes', route, AGGREGATE], value: begin(route, own, services) }, ...gone.map((action): Edit => ({ op: 'remove', path: ['routes', route, action] }))];
}

/** The edits that let a route ask one service again: that of its first call. */
export function single(written: Written, route: string): Edit[] {
  const own = isMap(written.routes) ? written.routes[route] : undefined;
  const first = isMap(own) ? calls(own[AGGREGATE])[0]?.service : undefined;
  return [{ op: 'set', path: ['routes', route, 'to'], value: first ?? firstService(written) }, { op: 'remove', path: ['routes', route, AGGREGATE] }];
}

/** A policy where it works on a route. */
export interface Block {
  policy: string;
  /** `own`, `defaults`, or the bundle that brings it. */
  origin: string;
  path: string[];
  value: unknown;
}

const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : value === undefined || value === null ? [] : [String(value)]);

/** Which bundles a route has, those that win last. */
export function bundles(written: Written, route: string): string[] {
  const defaults = isMap(written.defaults) ? written.defaults : {};
  const own = isMap(written.routes) && isMap(written.routes[route]) ? written.routes[route] : {};
  const names: string[] = [];
  for (const use of [...list(defaults.use), ...list(own.use)]) {
    const name = use.replace(/^-/, '');
    const before = names.indexOf(name);
    if (before >= 0) names.splice(before, 1);
    if (!use.startsWith('-')) names.push(name);
  }
  return names;
}

/** The blocks of a route in the order of running: its own win over bundles, these over the defaults. */
export function blocks(written: Written, route: string, order: string[]): Block[] {
  const found = new Map<string, Block>();
  const take = (settings: unknown, origin: string, path: string[]) => {
    if (!isMap(settings)) return;
    for (const policy of order) {
      if (policy in settings) found.set(policy, { policy, origin, path: [...path, policy], value: settings[policy] });
    }
  };
  take(written.defaults, 'defaults', ['defaults']);
  const known = isMap(written.policies) ? written.policies : {};
  for (const name of bundles(written, route)) take(known[name], name, ['policies', name]);
  const routes = isMap(written.routes) ? written.routes : {};
  take(routes[route], 'own', ['routes', route]);
  return order.flatMap((policy) => found.get(policy) ?? []);
}

/** The blocks that stand in one map: the defaults, or a bundle. */
export function blocksIn(settings: unknown, path: string[], order: string[]): Block[] {
  if (!isMap(settings)) return [];
  return order.filter((policy) => policy in settings).map((policy) => ({ policy, origin: 'own', path: [...path, policy], value: settings[policy] }));
}

/** In few words what a block does. */
export function gist(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(gist).filter(Boolean).join(', ').slice(0, 60);
  if (isMap(value)) {
    const parts = Object.entries(value).map(([name, inner]) => (typeof inner === 'object' && inner !== null ? `${name}: ${gist(inner)}` : `${name} ${String(inner)}`));
    return parts.join(', ').slice(0, 60);
  }
  return String(value).slice(0, 60);
}

/** A secret that nobody knows yet. */
export function secret(prefix: string, letters: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  let text = prefix;
  while (text.length < prefix.length + letters) {
    for (const byte of crypto.getRandomValues(new Uint8Array(64))) {
      if (byte < 248 && text.length < prefix.length + letters) text += alphabet[byte % 62];
    }
  }
  return text;
}

/** Settings of the same policy that stand somewhere in the file already. */
function elsewhere(written: Written, policy: string): unknown {
  const places = [...Object.values(isMap(written.policies) ? written.policies : {}), written.defaults, ...Object.values(isMap(written.routes) ? written.routes : {})];
  for (const place of places) if (isMap(place) && policy in place) return place[policy];
  return undefined;
}

/** What a dropped block says, and what else the file needs for it. */
export interface Start {
  value: unknown;
  also: Edit[];
  /** A key that was made for it and can be read only now. */
  key?: { consumer: string; key: string };
}

type Beginning = (written: Written) => unknown;
const firstService: Beginning = (written) => Object.keys(isMap(written.services) ? written.services : {})[0] ?? 'service';

// What works at once wherever it is dropped. What is missing here begins by its schema.
const STARTS: Record<string, unknown | Beginning> = {
  cors: { origins: ['https://app.example.com'] },
  ip: { deny: ['192.0.2.0/24'] },
  api_key: {},
  jwt: { issuer: 'https://issuer.example.com', audience: 'my-api' },
  introspection: { url: 'https://issuer.example.com/introspect', client_id: 'gateway', client_secret: '${INTROSPECTION_SECRET:-change me}' },
  oidc: () => ({ issuer: 'https://issuer.example.com', client_id: 'gateway', session_keys: secret('', 43) }),
  any_of: { of: [{ jwt: { issuer: 'https://issuer.example.com', audience: 'my-api' } }] },
  allow: { if: { methods: ['GET', 'HEAD', 'POST'] } },
  rate_limit: { rate: '60/min' },
  quota: { amount: 1000, every: 'day' },
  ext_auth: (written: Written) => ({ service: firstService(written) }),
  concurrency: 100,
  body_limit: '1MiB',
  timeout: '5s',
  retry: { attempts: 2 },
  hedge: { after: 'p95' },
  grpc_web: true,
  cache: { ttl: '60s' },
  rewrite: { path: '{path}' },
  headers: { response: { set: { 'X-Served-By': 'tidegate' } } },
  fallback: [{ status: 503, body: 'we are back soon' }],
  lists: { deny: ['198.51.100.0/24'] },
  guard: { mode: 'shadow' },
  version: { deprecated: '2026-01-01' },
  mirror: (written: Written) => ({ to: firstService(written), share: '10%' }),
  validate: { request: { body: { type: 'object' } } },
  request: { headers: { set: { 'X-Through': 'tidegate' } } },
  response: { headers: { set: { 'X-Through': 'tidegate' } } },
  filter: { sensitive: ['password'] },
};

/** What others in the file know already is taken from them. */
const SHARED = ['jwt', 'oidc', 'introspection', 'any_of', 'ext_auth'];

/** The SHA-256 of a text, in hexadecimal digits. */
export async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export async function start(policy: string, schema: Schema | undefined, language: Language, written: Written): Promise<Start> {
  const known = SHARED.includes(policy) ? elsewhere(written, policy) : undefined;
  const own = STARTS[policy];
  const value = known ?? (typeof own === 'function' ? (own as Beginning)(written) : (own ?? (schema ? language.start(schema) : {})));
  const begun: Start = { value, also: [] };
  const consumers = isMap(written.consumers) ? written.consumers : {};
  const keyed = Object.values(consumers).some((one) => isMap(one) && ('api_keys' in one || 'api_key' in one));
  if (policy === 'api_key' && !keyed && written.key_secret === undefined && crypto.subtle) {
    const key = secret('tgk_', 43);
    begun.also.push({ op: 'set', path: ['consumers', 'partner'], value: { api_keys: [`${key.slice(0, 12)}:${await sha256(key)}`] } });
    begun.key = { consumer: 'partner', key };
  }
  if (policy === 'quota' && written.state === undefined) begun.also.push({ op: 'set', path: ['state'], value: './state' });
  if (policy === 'identity_keys' && written.identity_token === undefined) begun.also.push({ op: 'set', path: ['identity_token'], value: {} });
  return begun;
}

/** Several blocks for one purpose. `undefined` begins as a block that is dropped. */
export const TEMPLATES: { name: string; about: string; blocks: Record<string, unknown> }[] = [
  { name: 'Protect with login', about: 'People log in with a browser; other sites cannot act for them.', blocks: { oidc: undefined, csrf: {} } },
  { name: 'Public, cached', about: 'For everybody: answers kept for a minute, compressed, and not asked too often.', blocks: { rate_limit: { rate: '600/min' }, cache: { ttl: '60s' }, compress: {} } },
  {
    name: 'Partner API',
    about: 'Only with an API key: each partner has its rate, and bodies have a bound.',
    blocks: { api_key: undefined, rate_limit: { rate: '100/min', per: 'consumer' }, body_limit: '1MiB', timeout: '10s' },
  },
  {
    name: 'Strict payments',
    about: 'Small bodies, few tries, a short time, nothing sent twice, no page of another site.',
    blocks: { csrf: {}, rate_limit: { rate: '10/min' }, body_limit: '16KiB', timeout: '3s', retry: false },
  },
];
