// What the gateway says of the health of services and targets, in the language chosen.

import { t } from './words.svelte';

/** The state of a circuit breaker: `open`, `half_open` or `closed`. */
export function circuit(state: string): string {
  const known: Record<string, string> = { open: t('open'), half_open: t('half open'), closed: t('closed') };
  return known[state] ?? state;
}

/** Why a target gets fewer requests, or none; what caused it stands behind a colon, in the words of the gateway. */
export function ailing(ailment: string): string {
  const known: Record<string, string> = {
    down: t('down'),
    ejected: t('ejected'),
    'starting slowly': t('starting slowly'),
    'drained by command': t('drained by command'),
    'circuit open': t('circuit {state}', { state: circuit('open') }),
    'circuit half open': t('circuit {state}', { state: circuit('half_open') }),
  };
  const [what = '', ...cause] = ailment.split(': ');
  return [known[what] ?? what, ...cause].join(': ');
}
