// Putting two changes of one text together: what holds for any three texts, on some thousand of them.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { createServer } from 'vite';

import { expect, fail } from './shop.mjs';

/** Numbers that look like chance and are the same each time. */
function chance(seed) {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

export async function merges() {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..');
  const server = await createServer({ root, logLevel: 'silent', server: { middlewareMode: true, ws: false }, appType: 'custom' });
  try {
    const { merge, pairs, difference } = await server.ssrLoadModule('/src/lib/merge.ts');
    const whole = (pieces, side) => pieces.flatMap((piece) => piece.lines ?? piece[side]).join('\n');
    const draw = chance(7);
    const text = (length) => Array.from({ length }, () => 'abcdef'[draw(6)]);
    const change = (lines) => lines.flatMap((line) => [[line], [line], [line], [line], [], [line, 'new'], ['other']][draw(7)]);
    let conflicts = 0;
    for (let nth = 0; nth < 3000; nth++) {
      const base = text(draw(12));
      const [o, a, b] = [base, change(base), change(base)].map((lines) => lines.join('\n'));
      if (whole(merge(o, a, o), 'mine') !== a || whole(merge(o, o, b), 'theirs') !== b) fail(`one change alone is not kept: ${JSON.stringify({ o, a, b })}`);
      if (merge(o, a, a).some((piece) => piece.mine) || whole(merge(o, a, a), 'mine') !== a) fail(`the same change twice: ${JSON.stringify({ o, a })}`);
      const both = merge(o, a, b);
      if (both.some((piece) => piece.mine)) conflicts++;
      const [x, y] = [o.split('\n'), a.split('\n')];
      let last = -1;
      for (const [at, to] of pairs(x, y).entries()) {
        if (to < 0) continue;
        if (to <= last || x[at] !== y[to]) fail(`lines are paired wrongly: ${JSON.stringify({ o, a })}`);
        last = to;
      }
      if ((difference(o, a) === '') !== (o === a)) fail(`the difference lies: ${JSON.stringify({ o, a })}`);
    }
    expect(conflicts > 100, `two changes of one text are put together, ${conflicts} of 3000 with a choice`);
    const [apart] = [merge('1\n2\n3\n4\n5', '1\ntwo\n3\n4\n5', '1\n2\n3\n4\nfive')];
    expect(whole(apart, 'mine') === '1\ntwo\n3\n4\nfive', 'changes that do not touch each other need no choice');
    const touching = merge('1\n2\n3', '1\nmine\n3', '1\ntheirs\n3');
    expect(whole(touching, 'mine') === '1\nmine\n3' && whole(touching, 'theirs') === '1\ntheirs\n3', 'where they touch, either can be chosen');
  } finally {
    await server.close();
  }
}
